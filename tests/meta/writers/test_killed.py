"""Writers that are killed inside a write: what they wrote is whole or not there, and the next run
removes what is left.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.harness.data.registry import Model, PinnedFile
from tests.harness.examination.limits import Limits, in_child
from tests.harness.files import scratch_folder, sha256, write_atomically
from tests.harness.latency.recording import FORMAT, Recording, read_recording, write_recording
from tests.harness.sources import bundle as bundles
from tests.harness.sources import checkpoints, shards
from tests.meta.support.tiny_models import tiny
from tests.tools.new_model import __main__ as new_model
from tests.tools.rows import write_rows
from tests.tools.sweep.run import columns
from tests.tools.sweep.store import Store, read_lines

from .slowed import kills, listing

LONG = "a line of the old file\n" * 50
ROWS = [
    {"number": n, "price": 1.0, "prediction": 2.0, "error": 1.0, "tokens": [n], "reply": "x"}
    for n in range(40)
]


@dataclass(frozen=True)
class Writer:
    """`prepare` makes the state before, in a fresh folder; `check` holds after any kill, and
    `leftovers` are what a run that was not disturbed leaves.
    """

    write: Callable[[Path], object]
    check: Callable[[Path], bool]
    prepare: Callable[[Path], object] = lambda home: None
    names: tuple[str, ...] = ()


def one_of(path: Path, *texts: str | None) -> bool:
    """Whether the file is one of these, to the last byte; None: not there."""
    return (path.read_text("utf-8") if path.exists() else None) in texts


def old(name: str) -> Callable[[Path], object]:
    """Puts the old file there."""
    return lambda home: (home / name).write_text(LONG, "utf-8")


def add_part(home: Path) -> None:
    """A sweep's process, from its start to its first part."""
    store = Store(home, every=0.0)
    with store.claimed():
        store.check_identity({"model": "tiny"})
        store.add(ROWS[: 2 + len(store.results())])


def sound_parts(home: Path) -> bool:
    """Whether all that is there can be read."""
    if (home / "manifest.json").exists():
        assert next(read_lines(home / "manifest.json")) == {"model": "tiny"}
    return all(list(read_lines(part)) for part in Store(home).parts)


def remember(home: Path) -> None:
    """Hash a file, and remember it."""
    os.environ["MODEL_CONFORMANCE_CACHE"] = str(home)
    shards.digests([Path(__file__)])


def sound_hashes(home: Path) -> bool:
    """Whether the memory is there whole, or not at all."""
    path = home / "weights" / "hashes.json"
    return not path.exists() or list(json.loads(path.read_bytes())) == [__file__]


def build_weights(home: Path) -> None:
    """Weights as they are made from a package: shards, settings and sums in one folder."""
    os.environ["MODEL_CONFORMANCE_CACHE"] = str(home)

    def build(folder: Path) -> None:
        header = json.dumps({"a": {"dtype": "U8", "shape": [64], "data_offsets": [0, 64]}})
        data = len(header).to_bytes(8, "little") + header.encode() + bytes(64)
        (folder / "model.safetensors").write_bytes(data)

    checkpoints._cached(tiny(), "package", home, build)


def sound_weights(home: Path) -> bool:
    """Whether every folder that has the weights' name is as it was built."""
    return all(checkpoints.damaged(folder) is None for folder in home.glob("weights/llama*"))


FILES = {"tokenizer.json": b"{}" * 40, "config.json": b"[]" * 40}


def build_bundle(home: Path) -> None:
    """A folder of the bundle, over a damaged one."""
    os.environ["MODEL_CONFORMANCE_CACHE"] = str(home)
    model = pinned()
    if bundles.is_intact(model):
        bundles.bundle([model], print)
        return
    with bundles.building(home / "bundle", "the bundle", "space"):
        scratch = home / "bundle" / f"{bundles.SCRATCH}x"
        (scratch / "made").mkdir(parents=True)
        for name, data in FILES.items():
            (scratch / "made" / name).write_bytes(data)
        bundles.move_into_place(model, scratch / "made")
        shutil.rmtree(scratch)


def pinned() -> Model:
    """The model whose pins are those of FILES."""
    pins = {
        name: PinnedFile(hashlib.sha256(data).hexdigest(), len(data), False)
        for name, data in FILES.items()
    }
    return replace(tiny(), files=pins)


def damage(home: Path) -> None:
    """Put a damaged folder in the bundle's place."""
    os.environ["MODEL_CONFORMANCE_CACHE"] = str(home)
    folder = bundles.folder_of(pinned())
    folder.mkdir(parents=True)
    (folder / "tokenizer.json").write_bytes(b"cut")


def sound_bundle(home: Path) -> bool:
    """Whether what has the name is whole, or is seen to be damaged."""
    folder = bundles.folder_of(pinned())
    names = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    return not names or bundles.is_intact(pinned()) or names == {"tokenizer.json"}


def install(home: Path) -> None:
    """An environment as the drift report installs it."""
    with scratch_folder(home) as scratch:
        built = scratch / "made"
        built.mkdir()
        (built / "python").write_text(LONG)
        if not (home / "made").exists():
            built.rename(home / "made")


def draft(home: Path) -> None:
    """A model's table and recipe, added to fixtures."""
    registry = home / "models.toml"
    if "[mine]" not in registry.read_text():
        vars(new_model).update(FIXTURES=home)
        table = f"{registry.read_text().rstrip()}\n\n\n[mine]\n"
        new_model._write({home / "mine.json": '{"files": {}}', registry: table}, home)


def sound_draft(home: Path) -> bool:
    """Whether no table is there without its recipe."""
    text = (home / "models.toml").read_text()
    return text.startswith(LONG.rstrip()) and (
        "[mine]" not in text or (home / "mine.json").exists()
    )


def recording() -> Recording:
    """A recording with nothing in it."""
    return Recording(FORMAT, {"cpu": {"device": "x"}}, {"torch": "1"})


WRITERS = {
    "text": Writer(
        lambda home: write_atomically(home / "a.txt", "new\n" * 50),
        lambda home: one_of(home / "a.txt", LONG, "new\n" * 50),
        old("a.txt"),
        ("a.txt",),
    ),
    "json_lines": Writer(
        lambda home: write_rows(home / "a.jsonl", [ROWS], columns),
        lambda home: (
            one_of(home / "a.jsonl", LONG) or len(list(read_lines(home / "a.jsonl"))) == len(ROWS)
        ),
        old("a.jsonl"),
        ("a.jsonl",),
    ),
    "recording": Writer(
        lambda home: write_recording(home / "base.json", recording()),
        lambda home: (
            one_of(home / "base.json", LONG) or read_recording(home / "base.json") == recording()
        ),
        old("base.json"),
        ("base.json",),
    ),
    "sweep": Writer(add_part, sound_parts),
    "hashes": Writer(remember, sound_hashes, names=("weights", "weights/hashes.json")),
    "weights": Writer(build_weights, sound_weights),
    "bundle": Writer(build_bundle, sound_bundle, damage),
    "environment": Writer(install, lambda home: one_of(home / "made" / "python", LONG, None)),
    "draft": Writer(draft, sound_draft, old("models.toml"), ("models.toml", "mine.json")),
}


@pytest.fixture(autouse=True)
def cache_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Writers set the cache; what they change of modules is set back."""
    monkeypatch.setenv("MODEL_CONFORMANCE_CACHE", str(tmp_path))
    monkeypatch.setattr(new_model, "RECIPES", tmp_path)
    monkeypatch.setattr(new_model, "REGISTRY", tmp_path)


def survives(writer: Writer, home: Path, count: int) -> None:
    """Kill it so often; each time all is whole, and the next run leaves nothing of it."""

    def prepare() -> None:
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir()
        writer.prepare(home)

    prepare()
    writer.write(home)
    names = listing(home)
    for number, _ in enumerate(kills(lambda: writer.write(home), prepare, count)):
        assert writer.check(home), f"kill {number}: {sorted(listing(home))}"
        writer.write(home)
        assert writer.check(home)
        left = {name for name in listing(home) if Path(name).name.startswith(".")}
        assert not left, f"kill {number} left {left}"
        assert set(writer.names) <= listing(home) and len(listing(home)) <= len(names) + 1


@pytest.mark.parametrize("name", WRITERS)
def test_a_killed_writer_leaves_what_was_there_or_the_new(name: str, tmp_path: Path) -> None:
    survives(WRITERS[name], tmp_path / "home", 6)


@pytest.mark.slow
@pytest.mark.parametrize("name", WRITERS)
def test_fifty_kills_of_each_writer(name: str, tmp_path: Path) -> None:
    survives(WRITERS[name], tmp_path / "home", 50)


def test_a_write_that_is_not_atomic_is_seen(tmp_path: Path) -> None:
    """The kills do fall inside a write."""
    writer = replace(
        WRITERS["text"], write=lambda home: (home / "a.txt").write_text("new\n" * 50, "utf-8")
    )
    with pytest.raises(AssertionError, match="kill "):
        survives(writer, tmp_path / "home", 50)


def test_a_scratch_folder_of_a_living_process_stays(tmp_path: Path) -> None:
    with scratch_folder(tmp_path) as first, scratch_folder(tmp_path) as second:
        assert first.is_dir() and second.is_dir() and first != second
    assert listing(tmp_path) == set()


def test_a_cache_that_cannot_be_written_is_used(tmp_path: Path) -> None:
    """Of another user, or mounted read-only: what is whole there is taken, nothing remembered."""
    build_weights(tmp_path / "home")
    (tmp_path / "home" / "weights" / "hashes.json").unlink()
    before = listing(tmp_path)

    def work(_: object) -> list[str]:
        if os.geteuid() == 0:
            os.setuid(65534)
        build_weights(tmp_path / "home")
        return [shards.digests([Path(__file__)])[Path(__file__)]]

    for path in (tmp_path, *tmp_path.parents):
        if path != Path("/") and path.stat().st_uid == os.getuid() and "pytest" in str(path):
            path.chmod(0o755)
    for path in tmp_path.rglob("*"):
        path.chmod(0o555 if path.is_dir() else 0o444)
    ending = in_child(work, Limits(1 << 30, 10, 20.0))
    for path in tmp_path.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    assert ending.result == [sha256(Path(__file__))], ending
    assert listing(tmp_path) == before

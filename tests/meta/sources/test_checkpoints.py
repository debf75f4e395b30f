"""Checkpoint folders: what is refused and why, what is hashed, and what is made here."""

import json
import shutil
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.harness.console import exit_status
from tests.harness.data.registry import Model, PinnedFile, registry
from tests.harness.errors import AssetError
from tests.harness.examination.checkpoint import INDEX
from tests.harness.files import sha256
from tests.harness.sources import checkpoints, fetch, shards, weights
from tests.harness.sources.checkpoints import dummy
from tests.harness.sources.weights import parse_weights, prepare_weights
from tests.meta.support.tiny_models import tiny
from tests.tools import fetch as fetch_command

FIRST = "model-00001-of-00003.safetensors"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own; checkpoints made in it have three shards."""
    monkeypatch.setenv("MODEL_CONFORMANCE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(checkpoints, "SHARD", "300KB")
    return tmp_path / "cache"


@pytest.fixture
def folder(cache: Path, tmp_path: Path) -> Path:
    """A local copy of a tiny checkpoint in three shards, without the note that it is random."""
    made = shutil.copytree(dummy(tiny(), "cpu", cache, print), tmp_path / "local")
    (made / checkpoints.DUMMY).unlink()
    return made


def flip(path: Path) -> None:
    """Change the last byte: the size, the header and the loading stay as they are."""
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))


# A valid safetensors file that holds nothing: the library loads it without a warning.
NO_TENSORS = struct.pack("<Q", 2) + b"{}"


def only_pickles(folder: Path) -> None:
    """As an old checkpoint is."""
    for path in folder.glob("*.safetensors*"):
        path.unlink()
    (folder / "pytorch_model.bin").write_bytes(b"never read")


def put(path: Path, **values: object) -> None:
    """Set keys of a JSON file."""
    path.write_text(json.dumps(json.loads(path.read_bytes()) | values), encoding="utf-8")


REFUSED: dict[str, tuple[Callable[[Path], object], str]] = {
    "empty_file": (lambda folder: (folder / FIRST).write_bytes(b""), f"{FIRST} is empty (0 bytes)"),
    "empty_shard": (
        lambda folder: (folder / FIRST).write_bytes(NO_TENSORS),
        f"{FIRST} lacks 6 of its 6 tensors",
    ),
    "cut_off": (
        lambda folder: (folder / FIRST).write_bytes((folder / FIRST).read_bytes()[:-1]),
        f"{FIRST} has 295,575 bytes where its header says 295,576",
    ),
    "no_safetensors": (
        lambda folder: (folder / FIRST).write_bytes(b"<html>not found</html>"),
        f"{FIRST} is not a safetensors file",
    ),
    "missing_shard": (
        lambda folder: (folder / FIRST).unlink(),
        f"{FIRST}, which the index names, is not",
    ),
    "only_pickles": (only_pickles, "pytorch_model.bin is a pickle, which can run code: not read"),
    "outside": (
        lambda folder: put(folder / INDEX, weight_map={"a": "../x.safetensors"}),
        "names '../x.safetensors', which is",
    ),
    "no_config": (
        lambda folder: (folder / "config.json").unlink(),
        "is missing, so it cannot be read",
    ),
    "quantized": (
        lambda folder: put(folder / "config.json", quantization_config={}),
        "is quantized already",
    ),
}


@pytest.mark.parametrize(("plant", "words"), REFUSED.values(), ids=REFUSED)
def test_unusable_folder_is_refused(
    plant: Callable[[Path], object], words: str, folder: Path
) -> None:
    plant(folder)
    with pytest.raises(AssetError) as caught:
        prepare_weights(tiny(), "cpu", str(folder), folder, print)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def pinned(folder: Path) -> Model:
    """The tiny model with the folder's files for published ones."""
    pins = {
        path.name: PinnedFile(shards.digests([path])[path], path.stat().st_size, published=True)
        for path in checkpoints.weight_files(folder)
    }
    return replace(tiny(), weights=pins)


def test_local_folder_is_named_as_the_pinned_one_or_as_another(folder: Path) -> None:
    model = pinned(folder)
    weights_of_folder = prepare_weights(model, "cpu", str(folder), folder, print)
    assert (weights_of_folder.kind, weights_of_folder.trained) == ("directory", True)
    assert weights_of_folder.note == f"the pinned weights in {folder}"
    flip(folder / FIRST)
    other = prepare_weights(model, "cpu", str(folder), folder, print)
    assert other.note == f"other weights ({FIRST} differs) in {folder}"


def test_flipped_byte_in_the_hubs_cache_is_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = replace(pinned(folder), files={})
    monkeypatch.setattr(weights, "cached_on_hub", lambda model: folder)
    assert prepare_weights(model, "cpu", "hub", folder, print).note == "published weights"
    flip(folder / FIRST)
    with pytest.raises(AssetError, match=f"{FIRST} in .* is not the published file: delete it"):
        prepare_weights(model, "cpu", "hub", folder, print)


def test_damaged_dummy_is_named_and_made_again(cache: Path) -> None:
    made = dummy(tiny(), "cpu", cache, print)
    whole = (made / FIRST).read_bytes()
    flip(made / FIRST)
    assert str(checkpoints.damaged(made)).startswith(f"{FIRST} has sha256 ")
    assert dummy(tiny(), "cpu", cache, print) == made
    assert checkpoints.damaged(made) is None
    assert (made / FIRST).read_bytes() == whole, "the seed does not give the same values"


def test_dummy_is_recognized_by_its_folder(cache: Path, tmp_path: Path) -> None:
    made = dummy(tiny(), "cpu", cache, print)
    weights_of_folder = prepare_weights(tiny(), "cpu", str(made), tmp_path, print)
    assert not weights_of_folder.trained
    assert weights_of_folder.note == f"dummy weights of {made}"


def test_generation_settings_are_the_models_own(cache: Path, tmp_path: Path) -> None:
    (tmp_path / "generation_config.json").write_text('{"top_p": 0.9}', encoding="utf-8")
    made = dummy(tiny(), "cpu", tmp_path, print)
    assert json.loads((made / "generation_config.json").read_bytes()) == {"top_p": 0.9}
    assert json.loads((made / "config.json").read_bytes()) == tiny().architecture


def test_too_small_disk_is_one_line(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil._ntuple_diskusage(10**12, 10**12, 10**9)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(AssetError) as caught:
        dummy(registry()["llama3_1"], "cpu", cache, print)
    assert str(caught.value).startswith("dummy weights of llama3_1 take 16.1 GB in ")
    assert "1.0 GB are free: free some, or set MODEL_CONFORMANCE_CACHE" in str(caught.value)


def test_files_are_hashed_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hashed: list[str] = []

    def counted(path: Path) -> str:
        hashed.append(path.name)
        return sha256(path)

    monkeypatch.setattr(shards, "sha256", counted)
    files = checkpoints.weight_files(folder)
    first = shards.digests(files)
    assert shards.digests(files) == first
    assert sorted(hashed) == sorted(path.name for path in files)
    flip(folder / FIRST)
    assert shards.digests(files)[folder / FIRST] != first[folder / FIRST]
    assert len(hashed) == len(files) + 1


def test_what_is_fetched_of_the_hub(capsys: pytest.CaptureFixture[str]) -> None:
    llama = registry()["llama3_1"]
    fetched = fetch.weights_only(llama).files
    assert {"config.json", "generation_config.json", *llama.weights} == set(fetched)
    assert sum(pin.bytes for pin in llama.weights.values()) == 16_060_580_326
    assert [name for name, pin in fetched.items() if pin.published] == [
        "config.json",
        "generation_config.json",
    ]
    assert exit_status(lambda: fetch_command.main(["--weights", "smollm2"])) == 2
    assert capsys.readouterr().err == "smollm2: the registry pins no weights of the hub for it\n"


def test_weights_option(tmp_path: Path) -> None:
    assert set(parse_weights([]).values()) == {"auto"}
    assert parse_weights(["dummy"])["llama3_1"] == "dummy"
    assert parse_weights(["dummy"])["smollm2"] == "auto"
    assert parse_weights(["hub", f"smollm2={tmp_path}"])["smollm2"] == str(tmp_path)
    for wrong in ("dumy", "phi4=dummy", "phi3=", f"{tmp_path}/missing"):
        with pytest.raises(AssetError, match="write auto, hub, dummy, a folder"):
            parse_weights([wrong])

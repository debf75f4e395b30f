"""Results of another question are never taken for this one's: each dependency, changed."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.harness import versions as installed
from tests.harness.sources import identity
from tests.harness.sources.checkpoints import DUMMY, dummy
from tests.harness.sources.shards import digests
from tests.meta.support.tiny_sweep import tiny_registry
from tests.tools import models
from tests.tools.drift import runner
from tests.tools.drift.environments import CURRENT, environment
from tests.tools.drift.runner import Subject, results_folder
from tests.tools.sweep import job
from tests.tools.sweep.__main__ import main

OPTIONS = ["--model", "smollm2", "--load", "bf16", "--device", "cpu", "--quiet"]
OPTIONS += ["--picture", "none", "--batch-tokens", "128", "--method", "score"]


def flip(path: Path) -> None:
    """Change the last byte, in place, and leave size and time as they are."""
    before = path.stat()
    content = path.read_bytes()
    with path.open("rb+") as stream:
        stream.seek(-1, 2)
        stream.write(bytes([content[-1] ^ 1]))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def setting(file: str, **values: object) -> Callable[[Path], object]:
    """Sets keys of a JSON file."""

    def change(home: Path) -> None:
        path = home / file
        path.write_text(json.dumps(json.loads(path.read_bytes()) | values), encoding="utf-8")

    return change


# What an answer depends on, changed behind the same options, and what the refusal must name.
CHANGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "tokenizer_settings": (
        setting("tokenizer/tokenizer_config.json", padding_side="left"),
        "tokenizer tokenizer_config.json: ",
    ),
    "tokenizer": (
        setting("tokenizer/tokenizer.json", version="1.0"),
        "tokenizer tokenizer.json: ",
    ),
    "template": (
        lambda home: (home / "tokenizer" / "chat_template.jinja").write_text("{{ messages }}"),
        "tokenizer chat_template.jinja: None there, ",
    ),
    "weights": (
        lambda home: flip(home / "weights" / "model.safetensors"),
        "weights model.safetensors: ",
    ),
    "architecture": (
        setting("weights/config.json", rms_norm_eps=0.1),
        "weights config.json: ",
    ),
    "generation": (
        lambda home: (home / "weights" / "generation_config.json").write_text('{"top_k": 3}'),
        "weights generation_config.json: ",
    ),
    "data": (
        lambda home: (home / "rows.jsonl").write_text('{"text": "b Price is $", "price": 1}\n'),
        "data sha256: ",
    ),
    "code": (
        lambda home: (home / "project" / "code.py").write_text("another"),
        "other code (code: ",
    ),
}


@pytest.fixture
def home(tmp_path: Path, bundle: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """Tokenizer, weights, data and code of a sweep, in one folder."""
    monkeypatch.setattr(models, "registry", tiny_registry)
    monkeypatch.setattr(identity, "PROJECT", tmp_path / "project")
    monkeypatch.setattr(job, "CODE", ("code.py",))
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "code.py").write_text("our code")
    shutil.copytree(bundle["smollm2"], tmp_path / "tokenizer")
    made = dummy(tiny_registry()["smollm2"], "cpu", bundle["smollm2"], print)
    shutil.copytree(made, tmp_path / "weights")
    (tmp_path / "weights" / DUMMY).unlink()
    (tmp_path / "rows.jsonl").write_text('{"text": "a Price is $", "price": 1}\n')
    return tmp_path


def sweep(home: Path) -> int:
    """Run it with the same options as always."""
    given = ["--model-dir", str(home / "tokenizer"), "--weights", str(home / "weights")]
    return main([str(home / "rows.jsonl"), "--out", str(home / "out"), *OPTIONS, *given])


def test_a_finished_sweep_is_refused_after_any_change(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sweep(home) == 0
    assert sweep(home) == 0
    assert "is complete: nothing to do" in capsys.readouterr().err
    for name, (change, words) in CHANGES.items():
        kept = shutil.copytree(home, home.with_name("kept"), symlinks=True)
        change(home)
        assert sweep(home) == 2, name
        line = capsys.readouterr().err.splitlines()[-1]
        assert words in line and "give another --out" in line, name
        assert line.count(" there, ") == 1, name
        shutil.rmtree(home)
        kept.rename(home)


def test_another_version_is_named(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sweep(home) == 0
    other = installed.versions() | {"tokenizers": "0.1"}
    monkeypatch.setattr(job, "versions", lambda: other)
    assert sweep(home) == 2
    assert "tokenizers: " in capsys.readouterr().err.splitlines()[-1]


def test_files_changed_in_place_are_hashed_again(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(bytes(100))
    before = digests([path])[path]
    flip(path)
    assert digests([path])[path] != before


def test_observations_of_drift_are_of_these_files_and_libraries(
    bundle: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(shutil.copytree(bundle["phi3"], tmp_path / "phi3"))
    here = environment("transformers", CURRENT)
    seen = {results_folder(here, Subject({"phi3": folder}, "auto"))}
    templates = folder / "additional_chat_templates"
    templates.mkdir()
    (templates / "tool_use.jinja").write_text("{{ messages }}")
    seen.add(results_folder(here, Subject({"phi3": folder}, "auto")))
    flip(folder / "tokenizer.json")
    seen.add(results_folder(here, Subject({"phi3": folder}, "auto")))
    seen.add(results_folder(here, Subject({"phi3": folder}, "raw")))
    monkeypatch.setattr(runner, "_state_of_libraries", lambda: "edited in place")
    seen.add(results_folder(here, Subject({"phi3": folder}, "raw")))
    assert len(seen) == 5


def test_generation_settings_of_another_folder_are_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODEL_CONFORMANCE_CACHE", str(tmp_path / "cache"))
    model, name = tiny_registry()["smollm2"], "generation_config.json"
    for text in ('{"top_k": 3}\r\n', '{"top_k": 4}', None):
        if text is None:
            (tmp_path / name).unlink()
        else:
            (tmp_path / name).write_bytes(text.encode())
        made = dummy(model, "cpu", tmp_path, print)
        held = (made / name).read_bytes().decode() if (made / name).is_file() else None
        assert held == text

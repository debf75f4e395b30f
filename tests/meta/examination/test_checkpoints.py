"""Checkpoints that would hang, fill the memory, run code or mislead: one line says so."""

import os
import shutil
import time
from pathlib import Path

import pytest

from tests.harness.errors import AssetError
from tests.harness.sources import shards
from tests.harness.sources.checkpoints import DUMMY, dummy
from tests.harness.sources.weights import parse_weights, prepare_weights
from tests.harness.text import MISLEADING
from tests.meta.conftest import run_anew, run_pytest
from tests.meta.support.tiny_models import tiny

from .recipes import Hostile, hostile, make

CHECKPOINTS = hostile("checkpoints")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own."""
    monkeypatch.setenv("MODEL_CONFORMANCE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def tiny_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny checkpoint, without the note that it is random."""
    home = tmp_path_factory.mktemp("checkpoint")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MODEL_CONFORMANCE_CACHE", str(home))
        made = Path(shutil.copytree(dummy(tiny(), "cpu", home, print), home / "local"))
    (made / DUMMY).unlink()
    return made


@pytest.mark.parametrize("one", CHECKPOINTS.values(), ids=CHECKPOINTS)
def test_what_is_wrong_is_said_in_one_line(
    one: Hostile, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    folder = make(one, tiny_checkpoint, tmp_path / "folder", tmp_path / "canary")
    started = time.monotonic()
    with pytest.raises(AssetError) as caught:
        prepare_weights(tiny(), "cpu", str(folder), folder, print)
    line = str(caught.value)
    assert time.monotonic() - started < 20
    assert one.says.replace("FOLDER", str(folder)) in line
    assert not MISLEADING.search(line) and "\n" not in line
    assert not (tmp_path / "canary").exists()


def test_a_sound_checkpoint_is_taken(tiny_checkpoint: Path) -> None:
    before = os.times()
    weights = prepare_weights(tiny(), "cpu", str(tiny_checkpoint), tiny_checkpoint, print)
    assert weights.kind == "directory"
    assert os.times().children_user - before.children_user < 1.5


@pytest.mark.parametrize("content", ["", "{", "[]", '{"/x": [1]}', "[" * 100_000])
def test_a_cut_list_of_hashes_is_made_anew(
    content: str, tiny_checkpoint: Path, cache: Path
) -> None:
    memory = cache / "weights" / "hashes.json"
    memory.parent.mkdir(parents=True)
    memory.write_text(content)
    file = tiny_checkpoint / "model.safetensors"
    first = shards.digests([file])
    assert memory.read_text() != content
    assert shards.digests([file]) == first


def test_a_path_that_cannot_be_one_is_a_line() -> None:
    for path in ("a" * 5000, "\x1b[2J"):
        with pytest.raises(AssetError, match="write auto, hub, dummy, a folder") as caught:
            parse_weights([f"smollm2=/{path}"])
        assert not MISLEADING.search(str(caught.value))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["nine_thousand_layers", "pipe_for_config"])
def test_a_whole_run_and_the_sweep_survive(
    name: str, tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()  # the project's own cache
    one = CHECKPOINTS[name]
    folder = make(one, tiny_checkpoint, tmp_path / "folder", tmp_path / "canary")
    says = one.says.replace("FOLDER", str(folder)).partition(", and the files")[0]
    options = ("--models", "smollm2", f"--weights=smollm2={folder}", "--gate")
    run = run_pytest("tests/quantized/test_memory.py", "tests/quantized/test_loading.py", *options)
    assert run.code == 1
    assert run.line(says).startswith("smollm2: smollm2-cpu")
    assert "1 error" in run.out.splitlines()[-1] or "1 failed" in run.out.splitlines()[-1]
    data = tmp_path / "data.jsonl"
    data.write_text('{"text": "a tool\\n\\nPrice is $", "price": 3}\n')
    sweep = ("--model", "smollm2", "--out", f"{data}.out", "--weights", str(folder))
    done = run_anew("tests.tools.sweep", str(data), *sweep)
    assert done.code == 2
    assert says in done.out.splitlines()[-1]

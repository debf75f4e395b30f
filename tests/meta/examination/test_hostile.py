"""Folders that would hang, fill the memory, end the process, leak or mislead: one line says so."""

import json
import os
import resource
import shutil
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.harness.data.registry import registry
from tests.harness.errors import AssetError
from tests.harness.examination.folder import fault_of
from tests.harness.examination.limits import (
    Limits,
    Report,
    TooLongError,
    in_child,
    rendering_limits,
)
from tests.harness.sources.folders import parse_directories
from tests.harness.text import MISLEADING
from tests.meta.conftest import run_anew

from .recipes import Hostile, hostile, make
from .runs import LONGEST, command, judge, watch

FOLDERS = hostile("tokenizers")
LIMITS = Limits(memory=1 << 29, cpu=2, wall=3.0)
# Each takes all the CPU time that a folder may take.
SLOW = [name for name, one in FOLDERS.items() if one.says.endswith(" takes")][1:]
# Of the ways to be hostile those that end a run, each for another model.
TOGETHER = {
    "phi3": "padding_to_two_billion",
    "qwen2": "doubled_again_and_again",
    "smollm2": "link_to_a_file_outside",
    "llama3_1": "deep_settings",
}


def marked(name: str) -> object:
    """The folder as a test's parameter; what takes long is slow."""
    return pytest.param(FOLDERS[name], id=name, marks=[pytest.mark.slow] if name in SLOW else [])


@pytest.mark.parametrize("one", [marked(name) for name in FOLDERS])
def test_what_is_wrong_is_said_in_one_line(
    one: Hostile, bundle: dict[str, Path], tmp_path: Path
) -> None:
    folder = make(one, bundle[one.base], tmp_path / "folder", tmp_path / "canary")
    started = time.monotonic()
    fault = fault_of(folder, registry()[one.base])
    assert time.monotonic() - started < LONGEST
    assert fault.startswith(one.says.replace("FOLDER", str(folder)))
    assert bool(fault) == bool(one.says)
    assert not MISLEADING.search(fault) and "\n" not in fault
    assert not (tmp_path / "canary").exists()


def test_there_are_enough_of_them() -> None:
    assert len(FOLDERS) >= 80


@pytest.mark.slow
@pytest.mark.parametrize("name", ["a_hundred_megabytes", "template_with_a_missing_token"])
def test_a_whole_run_survives(name: str, bundle: dict[str, Path], tmp_path: Path) -> None:
    """`python -m tests.meta.examination` does it with all."""
    judged = judge(FOLDERS[name], bundle, tmp_path / "run", usual=0)
    assert not judged.problems, judged


def test_each_is_said_once_and_the_other_models_go_on(
    bundle: dict[str, Path], tmp_path: Path
) -> None:
    run = command("phi3", tmp_path)[1:3]
    options = ["pytest", *run, "--models", ",".join([*TOGETHER, "starcoder2"]), "--gate", "-rs"]
    for key, name in TOGETHER.items():
        folder = make(FOLDERS[name], bundle["phi3"], tmp_path / key, tmp_path / "canary")
        options += ["--model-dir", f"{key}={folder}"]
    watched = watch([*options, "-p", "no:cacheprovider"])
    assert watched.code == 1
    for key, name in TOGETHER.items():
        says = f"{key}: {FOLDERS[name].says.replace('FOLDER', str(tmp_path / key))}"
        lines = [line for line in watched.out.splitlines() if says in line]
        assert [line.startswith(says) for line in lines].count(True) == 1, watched.out[-3000:]
        assert any(f"not run: {says}" in line for line in lines)
        assert any(line.startswith("gate: ") for line in lines)
    assert f"{len(TOGETHER)} errors" in watched.out.splitlines()[-1]
    assert " passed" in watched.out.splitlines()[-1], "starcoder2 was not checked"


# Only a trial in a process of its own shows that it runs for ever; the other one is read only.
TRIED = "replaced_a_trillion_times"
# Each tool that takes a folder, and its arguments beside it.
TOOLS: dict[str, Callable[[Path, Path], list[str]]] = {
    "new_model": lambda folder, _: ["mine", str(folder)],
    "explore": lambda folder, _: ["--models", "phi3", "--model-dir", f"phi3={folder}"],
    "budget": lambda folder, data: [str(data), "--model", "phi3", "--model-dir", str(folder)],
    "drift": lambda folder, _: (
        ["current", "current", "--models", "phi3", "--model-dir", f"phi3={folder}"]
    ),
    "sweep": lambda folder, data: (
        [str(data), "--model", "smollm2", "--out", f"{data}.out", "--model-dir", str(folder)]
    ),
}


@pytest.mark.parametrize(
    "tool", [pytest.param(one, marks=[pytest.mark.slow] if one == "sweep" else []) for one in TOOLS]
)
def test_every_tool_refuses_it(tool: str, bundle: dict[str, Path], tmp_path: Path) -> None:
    one = FOLDERS[TRIED if tool == "new_model" else "pipe_for_config"]
    folder = make(one, bundle[one.base], tmp_path / "folder", tmp_path / "canary")
    data = tmp_path / "data.jsonl"
    data.write_text('{"text": "a tool\\n\\nPrice is $", "price": 3}\n')
    run = run_anew(f"tests.tools.{tool}", *TOOLS[tool](folder, data))
    assert run.code == 2, run.out
    line = run.out.splitlines()[-1]
    assert one.says.replace("FOLDER", str(folder)) in line
    assert "repair the folder" in line
    assert "Traceback" not in run.out and len(run.out.splitlines()) < 4


# Sound folders that look unusual: nothing is said of them.
def _saved(folder: Path) -> None:
    from transformers import AutoTokenizer

    AutoTokenizer.from_pretrained(str(folder)).save_pretrained(str(folder))


def _as_the_hub_keeps_it(folder: Path) -> None:
    """Moves the files to `blobs`, two folders above, and links to them."""
    blobs = folder.parents[1] / "blobs"
    blobs.mkdir()
    for path in list(folder.iterdir()):
        shutil.move(path, blobs / path.name)
        path.symlink_to(Path("..", "..", "blobs", path.name))


def _with_settings(folder: Path) -> None:
    path = folder / "tokenizer_config.json"
    huge = {"model_max_length": int(1e30), "name_or_path": "/home/someone/phi", "note": "\u00e9"}
    path.write_text(json.dumps(json.loads(path.read_bytes()) | huge))


def _with_other_things(folder: Path) -> None:
    (folder / "checkpoint-500").mkdir()
    (folder / "README.md").write_text("notes")
    (folder / "training_args.bin").write_bytes(bytes(100))
    (folder / "trainer_state.json").write_text("[" * 1000 + "]" * 1000)
    (folder / "latest.json").symlink_to("config.json")


SOUND = {
    "saved": _saved,
    "hub": _as_the_hub_keeps_it,
    "settings": _with_settings,
    "things": _with_other_things,
}


@pytest.mark.parametrize("name", SOUND)
def test_nothing_is_said_of_a_sound_folder(
    name: str, bundle: dict[str, Path], tmp_path: Path
) -> None:
    folder = tmp_path / "models--phi3" / "snapshots" / "0a67737cc"
    shutil.copytree(bundle["phi3"], folder)
    SOUND[name](folder)
    assert fault_of(folder) == ""


def test_a_sound_folder_costs_little(bundle: dict[str, Path], tmp_path: Path) -> None:
    """At most 1.5 s of CPU time, for the largest; with exactly the pinned bytes next to nothing."""
    fault_of(bundle["phi3"])  # imports what any run imports
    folder = Path(shutil.copytree(bundle["llama3_1_instruct"], tmp_path / "llama"))

    def cost(pinned: bool) -> float:
        before = os.times()
        assert fault_of(folder, registry()["llama3_1_instruct"] if pinned else None) == ""
        return sum(after - start for start, after in zip(before[:4], os.times()[:4], strict=True))

    assert cost(pinned=True) < 0.1
    path = folder / "generation_config.json"
    path.write_bytes(path.read_bytes() + b"\n")
    assert cost(pinned=False) < 1.5 * 2  # others compute beside it here


@pytest.mark.parametrize("option", ["a" * 5000, "\udcff", "."])
def test_a_path_that_cannot_be_one_is_a_line(option: str) -> None:
    with pytest.raises(AssetError, match="--model-dir") as caught:
        parse_directories([f"phi3=/{option}/x"])
    assert not MISLEADING.search(str(caught.value))


@pytest.mark.skipif(os.geteuid() != 0, reason="becoming another user needs root")
def test_a_folder_that_may_not_be_searched_is_a_line(tmp_path: Path) -> None:
    folder = tmp_path / "closed" / "folder"
    folder.mkdir(parents=True)
    (tmp_path / "closed").chmod(0o600)

    def work(_: object) -> str:
        os.setuid(65534)
        try:
            parse_directories([f"phi3={folder}"])
        except AssetError as error:
            return str(error)
        return ""

    assert "cannot be read (Permission denied)" in in_child(work, LIMITS).result


def test_a_child_that_waits_is_ended() -> None:
    def work(report: Report) -> None:
        report("a\tb\twaiting")
        time.sleep(60)

    started = time.monotonic()
    ending = in_child(work, LIMITS)
    assert (ending.step, ending.death) == ("a\tb\twaiting", "takes more than 3 s")
    assert time.monotonic() - started < 10


def test_a_child_can_write_no_file(tmp_path: Path) -> None:
    ending = in_child(lambda _: (tmp_path / "x").write_text("x" * 10_000), LIMITS)
    assert "OSError" in ending.death


def test_how_a_child_dies_is_said() -> None:
    assert in_child(lambda _: os.kill(os.getpid(), signal.SIGSEGV), LIMITS).death == (
        "ends the process (SIGSEGV: no message)"
    )
    assert "0.5 GiB of memory" in in_child(lambda _: len(bytes(1 << 30)), LIMITS).death
    assert in_child(lambda _: os._exit(3), LIMITS).death == "ends the process (exit 3: no message)"
    assert in_child(lambda _: print("x" * 10**6) or [1], LIMITS).result == [1]


def test_an_interrupt_ends_the_child() -> None:
    children = Path(f"/proc/self/task/{os.getpid()}/children")
    before = children.read_text()
    # A shell starts what runs in its background deaf to interrupts.
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    threading.Timer(0.5, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
    try:
        with pytest.raises(KeyboardInterrupt):
            in_child(lambda _: time.sleep(60), Limits(1 << 29, 5, 30.0))
    finally:
        signal.signal(signal.SIGINT, handler)
    assert children.read_text() == before


def test_rendering_has_limits_here() -> None:
    before = resource.getrlimit(resource.RLIMIT_AS)
    with pytest.raises(TooLongError, match="more than 5 s"), rendering_limits():
        sum(iter(lambda: 0, 1))
    with pytest.raises(MemoryError), rendering_limits():
        bytearray(2 << 30)
    assert resource.getrlimit(resource.RLIMIT_AS) == before
    assert signal.getitimer(signal.ITIMER_VIRTUAL)[0] == 0

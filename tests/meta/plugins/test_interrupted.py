"""Runs that are interrupted: the user's Ctrl-C reaches the whole group, and nothing is left."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.harness.environments import Environment
from tests.meta.conftest import PROJECT
from tests.meta.support.small_project import LAST, MODES, QUICK_MODES, change, plant, small
from tests.tools.drift.runner import Subject, observe, task

__all__ = ["small"]  # a fixture

PRICES = "tests/conformance/test_prices.py"


@pytest.fixture(autouse=True)
def heeded() -> Iterator[None]:
    """What a shell starts in the background ignores Ctrl-C, and so do its children: undo that."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def start(*arguments: str, cwd: Path = PROJECT, **settings: str) -> subprocess.Popen[str]:
    """A command in a process group of its own, as a shell starts it."""
    return subprocess.Popen(
        [sys.executable, "-m", *arguments],
        cwd=cwd,
        env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"} | settings,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def interrupted(process: subprocess.Popen[str], ready: Callable[[], object]) -> str:
    """What was printed by a run that got Ctrl-C once it was `ready`; no process of it is left."""
    until = time.monotonic() + 120
    while not ready():
        assert process.poll() is None and time.monotonic() < until, process.communicate()[0]
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    while alive(process.pid):
        assert time.monotonic() < until, "processes are left"
        time.sleep(0.05)
    return out


def read_to(process: subprocess.Popen[str], text: str) -> bool:
    """Read what is printed up to a line with the text; whether there was one."""
    assert process.stdout is not None
    return any(text in line for line in process.stdout)


def alive(group: int) -> bool:
    """Whether a process group has a process."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def files(folder: Path) -> set[Path]:
    """All files but locks and what git is told to ignore."""
    return {
        path.relative_to(folder)
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".lock" and path.name != ".lock"
        if not {"__pycache__", ".pytest_cache", ".benchmarks"} & set(path.parts)
    }


SUITE = ("pytest", PRICES, "--models", "phi3,starcoder2")
# Every way to build, at the moment when this file is there: of the download, or of the build.
BUILDS = {
    "command": (("tests.tools.fetch", "phi3", "starcoder2"), "requirements.txt", 130),
    "pytest": (SUITE, "requirements.txt", 2),
    "workers": ((*SUITE, "-n", "2"), "*.gguf", 2),
}


@pytest.mark.slow  # each fetches packages
@pytest.mark.parametrize("build", BUILDS)
def test_ctrl_c_in_a_build_leaves_nothing(build: str, tmp_path: Path) -> None:
    """Neither in the cache nor in the folder for temporary files."""
    cache, temporary = tmp_path / "cache", tmp_path / "tmp"
    temporary.mkdir()
    command, file, status = BUILDS[build]
    process = start(*command, MODEL_CONFORMANCE_CACHE=str(cache), TMPDIR=str(temporary))
    out = interrupted(process, lambda: list(cache.glob(f"bundle/.build-*/{file}")))
    assert (process.returncode, files(cache), files(temporary)) == (status, set(), set())
    assert "Traceback" not in out
    if build == "workers":
        assert "downloading llama_cpp_python" in out, "progress is shown"


@pytest.mark.parametrize("mode", QUICK_MODES)
def test_ctrl_c_among_the_tests_leaves_nothing(mode: str, small: Path, tmp_path: Path) -> None:
    """No file, and no recording is written by a run that did not end, where one might be."""
    plant(small, LAST, "import time\ndef test_plant(): time.sleep(60)\n")
    change(small)
    before, temporary = {path: (small / path).read_bytes() for path in files(small)}, tmp_path / "t"
    temporary.mkdir()
    options = ["-v", "-p", "no:cacheprovider", "--junitxml", str(tmp_path / "out"), *MODES[mode]]
    if mode == "alone":  # distributed, the option is refused
        options += ["--snapshot-update"]
    process = start("pytest", *options, cwd=small, TMPDIR=str(temporary), CI="")
    out = interrupted(process, lambda: read_to(process, "test_ids_snapshot"))
    # Seen once in six: a library swallowed the interrupt, one test failed, and the run went on.
    assert process.returncode in ((1, 2) if mode == "alone" else (2,)), out[-3000:]
    assert {path: (small / path).read_bytes() for path in files(small)} == before
    assert files(temporary) == set()


@pytest.mark.parametrize("signal_name", ["INT", "TERM", "KILL"])
def test_an_interrupted_observation_is_not_kept(signal_name: str, tmp_path: Path) -> None:
    """The drift report asks again next time; a process that was killed otherwise is a result."""
    python, out = tmp_path / "python", tmp_path / "phi3.json"
    python.write_text(f"#!/bin/sh\nkill -{signal_name} $$\nsleep 10\n")
    python.chmod(0o755)
    tasks = [task("phi3", tmp_path, out, Subject({}, "auto"), None)]
    if signal_name == "KILL":
        assert "signal 9" in str(observe(Environment(python, {}), tasks))
        return
    with pytest.raises(KeyboardInterrupt):
        observe(Environment(python, {}), tasks)
    assert not out.exists()

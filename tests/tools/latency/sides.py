"""The two environments that are compared, and a pair of processes that take turns."""

import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from packaging.utils import canonicalize_name

from tests.harness.environments import VERSION, cached_environment
from tests.harness.errors import AssetError, DataError
from tests.harness.files import PROJECT
from tests.harness.latency.recording import Recording, read_recording
from tests.harness.latency.turns.granted import grant
from tests.tools.drift.environments import (
    FOLLOWING,
    NAME,
    pins,
)

BENCHMARKS = "tests/benchmarks"
# How long the turns of a pair of processes take, which need half a minute to start, and of each
# benchmark in it.
PAIR_SECONDS, LEAST_SECONDS = 54.0, 9.0

_LEFT_ALONE = ("BrokenPipeError", "EOFError")


@dataclass(frozen=True)
class Side:
    """A Python and the checkout of the suite that it runs."""

    title: str
    python: Path
    checkout: Path


def here() -> Side:
    """What is installed here, and this checkout."""
    return Side("here", Path(sys.executable), PROJECT)


def other_side(requirement: str | None, python: Path | None, checkout: Path | None) -> Side:
    """What here is compared with; DataError or AssetError if there is no such thing."""
    if python is not None and not (python.is_file() and os.access(python, os.X_OK)):
        raise DataError(f"--against-python {python}: not a program; give an environment's python")
    if checkout is not None and not (checkout / BENCHMARKS).is_dir():
        raise DataError(f"--against-checkout {checkout}: has no {BENCHMARKS}; give a checkout")
    if requirement is not None:
        python = _python_with(requirement)
    given = (requirement, python if requirement is None else None, checkout)
    return Side(
        " ".join(str(each) for each in given if each is not None),
        python or Path(sys.executable),
        (checkout or PROJECT).absolute(),
    )


def _python_with(requirement: str) -> Path:
    """The Python of an environment of all pins, one package of which is at another version."""
    name, _, version = requirement.partition("==")
    if not (NAME.fullmatch(name) and VERSION.fullmatch(version)):
        raise DataError(f"--against {requirement!r}: give NAME==VERSION: transformers==5.20.2")
    package = canonicalize_name(name)
    # What goes together is chosen anew where one of it is given.
    freed = {package, *(FOLLOWING if package in FOLLOWING else ())}
    lines = [name if name in freed else f"{name}=={pin}" for name, pin in pins().items()]
    lines = [line for line in lines if line != package]
    wanted = [f"{package}=={version}", *lines]
    return cached_environment(f"latency-{package}-{version}", wanted).python


def _command(side: Side, arguments: Iterable[str]) -> list[str]:
    return [str(side.python), "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]


def _environment(seed: int = 0) -> dict[str, str]:
    """For a process whose sets and dicts are laid out by `seed`: alike in both of a pair."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTEST_ADDOPTS"}
    # pytest leaves out of its summary why a test failed where a line is not wide enough.
    return kept | {"PYTHONHASHSEED": str(seed), "COLUMNS": "1000"}


def collect(side: Side, options: Sequence[str]) -> list[str]:
    """The node ids of all benchmarks; AssetError if a side cannot collect them."""
    done = subprocess.run(
        _command(side, ["--collect-only", "--latency-all", BENCHMARKS, *options]),
        cwd=side.checkout,
        env=_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    nodes = [line for line in done.stdout.splitlines() if line.startswith(f"{BENCHMARKS}/")]
    nodes = [line for line in nodes if "::" in line]
    if done.returncode or not nodes:
        raise AssetError(f"{side.title}: {_reason(done.stdout)}")
    return nodes


@dataclass(frozen=True)
class _Process:
    """A side's process, the pipes that it takes turns by, and the files that it writes."""

    side: Side
    process: subprocess.Popen[bytes]
    pipes: tuple[int, int]  # to read and to write
    recording: Path
    log: Path


def _start(side: Side, arguments: Sequence[str], folder: Path, seed: int) -> _Process:
    receive, childs_send = os.pipe()
    childs_receive, send = os.pipe()
    folder.mkdir(parents=True, exist_ok=True)
    recording, log = folder / "turn.json", folder / "log"
    given = ["--latency-processes", "1", "--benchmark-quiet"]
    given += ["--latency-turns", f"{childs_receive},{childs_send}"]
    given += ["--latency-save", str(recording)]
    try:
        with log.open("wb") as output:
            process = subprocess.Popen(
                _command(side, [*arguments, *given]),
                cwd=side.checkout,
                env=_environment(seed),
                stdout=output,
                stderr=subprocess.STDOUT,
                pass_fds=(childs_receive, childs_send),
            )
    finally:  # the process has its own; ours would hide that it ended
        os.close(childs_receive)
        os.close(childs_send)
    return _Process(side, process, (receive, send), recording, log)


def take_turns(
    sides: Sequence[Side],
    nodes: Sequence[str],
    options: Sequence[str],
    scratch: Path,
    pair: int,
) -> list[Recording]:
    """Measure the benchmarks in a new process of each side, whose turns alternate.

    What the sides recorded, in their order; AssetError with a line if a benchmark fails.
    """
    arguments = [*nodes, *options]
    started: list[_Process] = []
    try:
        for number, side in enumerate(sides):
            started.append(_start(side, arguments, scratch / str(number), pair))
        with suppress(BrokenPipeError):  # of a process that ended: its code says why
            grant([one.pipes for one in started], max(LEAST_SECONDS, PAIR_SECONDS / len(nodes)))
    finally:
        for one in started:
            for pipe in one.pipes:
                os.close(pipe)  # which ends a process that still waits
        for one in started:
            one.process.wait()
    faults = [one for one in started if one.process.returncode or not one.recording.exists()]
    # A side whose other one ended says that nobody grants it turns, which is no cause.
    reasons = [
        f"{one.side.title}: {_reason(one.log.read_text(errors='replace'))}" for one in faults
    ]
    if reasons:
        raise AssetError(min(reasons, key=lambda line: any(word in line for word in _LEFT_ALONE)))
    recordings = [read_recording(one.recording) for one in started]
    for one in started:
        one.recording.unlink()
    return recordings


def _reason(output: str) -> str:
    """The first line of pytest's summary that tells a failure, else what its output ends with."""
    lines = output.splitlines()
    told = [line for word in ("FAILED", "ERROR", "E  ") for line in lines if line.startswith(word)]
    return " ".join((told or lines[-1:] or ["pytest said nothing"])[0].split())

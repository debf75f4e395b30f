"""The two environments that are compared, and a pair of processes that take turns."""

import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.utils import canonicalize_name

from tests.harness.environments import VERSION, cached_environment
from tests.harness.errors import AssetError, DataError
from tests.harness.files import PROJECT
from tests.harness.latency.recording import Recording, read_recording
from tests.harness.latency.turns.processes import Started, first_cause, run_in_turns
from tests.tools.drift.environments import (
    FOLLOWING,
    NAME,
    pins,
)

BENCHMARKS = "tests/benchmarks"
# How long the turns of a pair of processes take, which need half a minute to start, and of each
# benchmark in it.
PAIR_SECONDS, LEAST_SECONDS = 54.0, 9.0
RECORDING = "turn.json"


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


def _started(side: Side, arguments: Sequence[str], folder: Path, seed: int) -> Started:
    folder.mkdir(parents=True, exist_ok=True)
    given = ["--latency-processes", "1", "--benchmark-quiet"]
    given += ["--latency-save", str(folder / RECORDING), "--latency-turns"]
    command = _command(side, [*arguments, *given])
    return Started(command, side.checkout, _environment(seed), folder / "log")


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
    folders = [scratch / str(number) for number in range(len(sides))]
    arguments = [*nodes, *options]
    started = [
        _started(side, arguments, folder, pair) for side, folder in zip(sides, folders, strict=True)
    ]
    codes = run_in_turns(started, max(LEAST_SECONDS, PAIR_SECONDS / len(nodes)))
    files = [folder / RECORDING for folder in folders]
    reasons = [
        f"{side.title}: {_reason(one.said)}"
        for side, one, code, file in zip(sides, started, codes, files, strict=True)
        if code or not file.exists()
    ]
    if reasons:
        raise AssetError(first_cause(reasons))
    recordings = list(map(read_recording, files))
    for file in files:
        file.unlink()
    return recordings


def _reason(output: str) -> str:
    """The first line of pytest's summary that tells a failure, else what its output ends with."""
    lines = output.splitlines()
    told = [line for word in ("FAILED", "ERROR", "E  ") for line in lines if line.startswith(word)]
    return " ".join((told or lines[-1:] or ["pytest said nothing"])[0].split())

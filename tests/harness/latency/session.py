"""The latency of a run: its options, what it is compared with, and what is written at its end."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ..device import has_cuda
from ..models import DataError
from ..options import versions
from ..results import RESULTS
from ..selection import TESTS, distributed
from .machine import identity
from .recording import (
    FORMAT,
    Recording,
    Timed,
    machine_differences,
    merged,
    read_recording,
    write_recording,
)
from .spec import Rule, latency

BENCHMARKS = TESTS / "benchmarks"


@dataclass
class LatencyRun:
    """The benchmarks of this process, those of the processes before it, and the baseline."""

    rule: Rule
    gate: bool
    processes: int
    save: Path | None
    baseline_file: Path | None
    baseline: Recording | None
    machine: dict[str, dict[str, str]] = field(default_factory=dict)
    controls: dict[str, tuple[tuple[float, ...], ...]] = field(default_factory=dict)
    earlier: list[Recording] = field(default_factory=list)
    own: dict[str, Timed] = field(default_factory=dict)
    shares: dict[str, float] = field(default_factory=dict)  # of the roofline
    verdicts: dict[str, str] = field(default_factory=dict)

    def recording(self) -> Recording:
        """All processes of this run."""
        mine = Recording(FORMAT, self.machine, versions(), self.controls, self.own)
        return merged([mine, *self.earlier])


LATENCY_RUN = pytest.StashKey[LatencyRun]()


def pytest_configure(config: pytest.Config) -> None:
    """Read the baseline before anything runs; one line refuses what cannot be compared."""
    save, compare = config.getoption("latency_save"), config.getoption("latency_baseline")
    try:
        rule, _ = latency()
        if save and compare:
            raise DataError("--latency-save and --latency-baseline: record in a run of its own")
        if (save or compare) and distributed(config):
            raise DataError("--latency-...: run without -n: workers slow each other down")
        asked = config.getoption("latency_processes")
        if asked is not None and asked < 1:
            raise DataError(f"--latency-processes {asked}: at least 1")
        baseline = read_recording(Path(compare)) if compare else None
        if baseline is not None:
            refuse_other_machine(Path(compare), baseline)
    except DataError as error:
        raise pytest.UsageError(str(error)) from None
    config.stash[LATENCY_RUN] = LatencyRun(
        rule=rule,
        gate=config.getoption("gate"),
        processes=asked or (rule.processes if save or compare else 1),
        save=Path(save).absolute() if save else None,
        baseline_file=Path(compare) if compare else None,
        baseline=baseline,
    )


def refuse_other_machine(path: Path, baseline: Recording) -> None:
    """DataError if the baseline was recorded on another device or driver."""
    here = {"cpu": identity("cpu")} | ({"cuda": identity("cuda")} if has_cuda() else {})
    if lines := machine_differences(baseline, here):
        raise DataError(
            f"--latency-baseline {path}: recorded on another machine: {'; '.join(lines)}; "
            "record one here with --latency-save"
        )


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Benchmarks run alone: beside other tests they are left out."""
    timed = [item for item in items if item.path.is_relative_to(BENCHMARKS)]
    if timed and len(timed) < len(items):
        config.hook.pytest_deselected(items=timed)
        items[:] = [item for item in items if item not in set(timed)]
        config.stash[RESULTS].unproved.append(
            "latency: left out, because benchmarks run alone: pytest tests/benchmarks"
        )


@pytest.hookimpl(tryfirst=True)  # before the gate, which counts what is missing
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Write the recording if every benchmark passed, and find what was not compared."""
    run, results = session.config.stash[LATENCY_RUN], session.config.stash[RESULTS]
    if run.save:
        try:
            if exitstatus or not run.own:
                raise DataError(f"{run.save}: not written: not every benchmark passed")
            write_recording(run.save, run.recording())
        except DataError as error:
            results.problems.append(f"latency: {error}")
            session.exitstatus = session.exitstatus or pytest.ExitCode.TESTS_FAILED
    results.unproved += unproved(run)


def refuse_losing(path: Path, measured: Iterable[str]) -> None:
    """DataError if the file holds benchmarks that this run would drop from it."""
    if path.exists() and (lost := set(read_recording(path).benchmarks) - set(measured)):
        raise DataError(
            f"{path}: not written: it holds {sorted(lost)[0]} and {len(lost) - 1} more that did "
            "not run here; run them too, or save to another file"
        )


def unproved(run: LatencyRun) -> list[str]:
    """Benchmarks that stand on one side only; all of them if there is no baseline."""
    if run.baseline is None:
        alone = bool(run.own) and run.save is None
        return ["latency was compared with nothing: give --latency-baseline"] if alone else []
    there, file = run.baseline.benchmarks, run.baseline_file
    lost = [
        f"latency: {name} is in {file} and did not run" for name in there if name not in run.own
    ]
    new = [f"latency: {name} ran and is not in {file}" for name in run.own if name not in there]
    return lost + new

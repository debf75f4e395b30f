"""How latency is printed."""

from dataclasses import dataclass
from statistics import median
from typing import Any

import pytest

from .recording import Timed
from .session import LATENCY_RUN, LatencyRun
from .statistics import quartile


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """A line a benchmark: its time, its share of the roofline, its verdict; under -q no passes."""
    run, loud = config.stash[LATENCY_RUN], config.get_verbosity()
    told = [name for name in run.own if loud >= 0 or not_passed(run.verdicts.get(name, ""))]
    if not told or loud < -1:
        return
    of = f"{run.processes} process{'es' * (run.processes > 1)}"
    terminalreporter.section(f"latency: median of {of}, of each the lower quartile of its rounds")
    benchmarks = run.recording().benchmarks
    for name in told:
        timed = benchmarks[name]
        share = f"  {run.shares[name]:4.0%} of the roofline" if name in run.shares else ""
        verdict = run.verdicts.get(name, "")
        terminalreporter.write_line(f"{name:<48} {figure(timed):>9}{share}  {verdict}".rstrip())


def not_passed(verdict: str) -> bool:
    """Whether a verdict is one that -q shows."""
    return bool(verdict) and not verdict.startswith("PASS")


def seconds_of(timed: Timed) -> float:
    """One time for all rounds of all processes: the median of the processes' lower quartiles."""
    return median(map(quartile, timed.seconds))


def figure(timed: Timed) -> str:
    """The same as people read it."""
    return shown(seconds_of(timed))


def figures(timed: Timed) -> str:
    """Each process's lower quartile, sorted."""
    return ", ".join(map(shown, sorted(map(quartile, timed.seconds))))


def shown(seconds: float) -> str:
    """`61.2 ms`: three digits and the unit that fits."""
    unit, size = next((it for it in (("s", 1.0), ("ms", 1e-3)) if seconds >= it[1]), ("us", 1e-6))
    return f"{seconds / size:.3g} {unit}"


@dataclass(frozen=True)
class LatencyFigures:
    """What is told of a benchmark in a few words; times in seconds, as `seconds_of` gives them."""

    seconds: float
    processes: int
    rounds: int  # of all processes
    baseline: float | None  # None: compared with nothing
    verdict: str  # PASS, FAIL or INCONCLUSIVE with its interval, or refused; empty if not compared
    roofline: float | None  # the share of what the machine could do, 0 to 1
    peak: int | None  # bytes on the device; the CPU does not count them


def latency_figures(run: LatencyRun, name: str, peak: int) -> LatencyFigures:
    """The figures of a benchmark that was timed; `peak` is 0 on the CPU."""
    timed = run.recording().benchmarks[name]
    there = run.baseline.benchmarks.get(name) if run.baseline else None
    return LatencyFigures(
        seconds=seconds_of(timed),
        processes=len(timed.seconds),
        rounds=sum(map(len, timed.seconds)),
        baseline=seconds_of(there) if there else None,
        verdict=run.verdicts.get(name, ""),
        roofline=run.shares.get(name),
        peak=peak or None,
    )

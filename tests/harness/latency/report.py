"""How latency is printed."""

from statistics import median
from typing import Any

import pytest

from .baseline import Timed
from .rule import quartile
from .session import LATENCY_RUN


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


def figure(timed: Timed) -> str:
    """One time for all rounds of all processes."""
    return shown(median(map(quartile, timed.seconds)))


def figures(timed: Timed) -> str:
    """Each process's lower quartile, sorted."""
    return ", ".join(map(shown, sorted(map(quartile, timed.seconds))))


def shown(seconds: float) -> str:
    """`61.2 ms`: three digits and the unit that fits."""
    unit, size = next((it for it in (("s", 1.0), ("ms", 1e-3)) if seconds >= it[1]), ("us", 1e-6))
    return f"{seconds / size:.3g} {unit}"

"""How latency is printed."""

from statistics import median
from typing import Any

import pytest

from .baseline import Timed
from .rule import quartile
from .session import LATENCY_RUN


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """A line a benchmark: its time, its share of the roofline, its verdict."""
    run = config.stash[LATENCY_RUN]
    if not run.own:
        return
    of = f"{run.processes} process{'es' * (run.processes > 1)}"
    terminalreporter.section(f"latency: median of {of}, of each the lower quartile of its rounds")
    for name, timed in run.recording().benchmarks.items():
        share = f"  {run.shares[name]:4.0%} of the roofline" if name in run.shares else ""
        verdict = run.verdicts.get(name, "")
        terminalreporter.write_line(f"{name:<48} {figure(timed):>9}{share}  {verdict}".rstrip())


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

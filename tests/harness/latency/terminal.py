"""The latency section at the end of a run, and how seconds are written."""

from typing import Any

import pytest

from .session import LATENCY_RUN, LatencyRun


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """A line a benchmark: its time, its share of the roofline, its verdict; under -q no passes."""
    run, verbosity = config.stash[LATENCY_RUN], config.get_verbosity()
    if lines := summary(run, quiet=verbosity < 0) if verbosity >= -1 else []:
        of = f"{run.processes} process{'es' * (run.processes > 1)}"
        terminalreporter.section(
            f"latency: median of {of}, of each the lower quartile of its rounds"
        )
        for line in lines:
            terminalreporter.write_line(line)


def summary(run: LatencyRun, quiet: bool) -> list[str]:
    """A line a benchmark; if quiet, of those alone that were compared and did not pass."""
    lines = []
    for name, timed in run.recording().benchmarks.items():
        comparison = run.comparisons.get(name)
        if quiet and (comparison is None or comparison.word == "PASS"):
            continue
        share = f"  {run.shares[name]:4.0%} of the roofline" if name in run.shares else ""
        seconds = format_seconds(timed.typical())
        lines.append(f"{name:<48} {seconds:>9}{share}  {comparison or ''}".rstrip())
    return lines


def format_seconds(seconds: float) -> str:
    """`61.2 ms`: three digits and the unit that fits."""
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-6:.3g} us"

"""The matrix at the end of a run, and the gate."""

from collections import Counter
from typing import Any

import pytest

from .device import NO_CUDA, has_cuda
from .models import registry
from .results import RESULTS, Results, place_of

WORDS = {"failed": "FAILED", "error": "ERROR", "known": "known", "skipped": "skipped"}


def table(outcomes: dict[str, str]) -> list[list[str]]:
    """Rows of cells, model x area, titles included; a cell counts what passed and what did not."""
    cells: dict[tuple[str, str], Counter[str]] = {}
    for node, outcome in outcomes.items():
        if place := place_of(node):
            cells.setdefault(place, Counter())[outcome] += 1
    keys = [key for key in registry() if any(key == place[0] for place in cells)]
    areas = sorted({area for _, area in cells})
    lines = [[key, *(cell_text(cells.get((key, area))) for area in areas)] for key in keys]
    return [["", *areas], *lines]


def matrix(outcomes: dict[str, str]) -> list[str]:
    """The table as lines of text."""
    rows = table(outcomes)
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return ["  ".join(f"{t:<{w}}" for t, w in zip(row, widths, strict=True)) for row in rows]


def brief(outcomes: dict[str, str]) -> list[str]:
    """What -q leaves of the table: how much was looked at, and the cells with more than passes."""
    (_, *areas), *rows = table(outcomes)
    if not rows:
        return []
    cells = [
        f"{key} {area}: {cell}"
        for key, *found in rows
        for area, cell in zip(areas, found, strict=True)
        if cell != "-" and not cell.isdigit()
    ]
    size = f"{len(rows)} x {len(areas)}"
    return [*cells, f"model x area: {size}, {len(cells)} with more than passes"]


def cell_text(counts: Counter[str] | None) -> str:
    """`120`, or `117 + 3 known`, or `-` where nothing ran."""
    if not counts:
        return "-"
    parts = [str(counts["passed"])] if counts["passed"] else []
    parts += [f"{counts[name]} {word}" for name, word in WORDS.items() if counts[name]]
    return " + ".join(parts)


def gate_lines(config: pytest.Config, results: Results) -> list[str]:
    """What could not be checked, a line each; empty if all evidence is there."""
    lines = []
    expression = config.getoption("markexpr") or ""
    no_gpu = "gpu" in expression.replace("not gpu", "") and not has_cuda()
    if no_gpu:
        lines.append(f"there is no CUDA device, and -m {expression!r} selects tests that need one")
    elif all(outcome == "skipped" for outcome in results.outcomes.values()):
        wanted = f" (-m {expression!r})" if expression else ""
        lines.append(f"nothing ran: no selected test could be executed{wanted}")
    lines += [
        f"{count} skipped: {reason}"
        for reason, count in results.skips.items()
        if not (no_gpu and reason == NO_CUDA)  # said already
    ]
    lines += [
        f"missing snapshots: {line}; record with --snapshot-update" for line in results.missing
    ]
    lines += [f"unused snapshots: {line}; remove with --snapshot-prune" for line in results.unused]
    return lines + results.unproved


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Under --gate, missing evidence fails the run."""
    config = session.config
    if config.getoption("gate") and not hasattr(config, "workerinput"):
        lines = gate_lines(config, config.stash[RESULTS])
        config.stash[RESULTS].problems += [f"gate: {line}" for line in lines]
        if lines and session.exitstatus in (0, pytest.ExitCode.NO_TESTS_COLLECTED):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """The matrix, short under -q, and always everything that stopped an update or the gate."""
    results, loud = config.stash[RESULTS], config.get_verbosity()
    if loud == -1:
        for line in brief(results.outcomes):
            terminalreporter.write_line(line)
    lines = matrix(results.outcomes)
    if len(lines) > 1 and loud >= 0:
        terminalreporter.section("model x area: checks passed (known = declared upstream failure)")
        for line in lines:
            terminalreporter.write_line(line)
    for line in results.unused:
        terminalreporter.write_line(f"unused snapshots: {line}")
    if not config.getoption("gate"):
        for line in results.unproved:
            terminalreporter.write_line(line)
    for line in results.problems:
        terminalreporter.write_line(line, red=True)

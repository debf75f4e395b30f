"""The end of a run in the terminal: a table of models and areas, and what stopped an update."""

from collections import Counter
from typing import Any

import pytest

from ..data.registry import registry
from .results import RESULTS, Finding, Results

_WORDS = {"failed": "FAILED", "error": "ERROR", "known": "known", "skipped": "skipped"}


def table(results: Results) -> list[list[str]]:
    """Rows of cells, model x area, titles included; a cell counts what passed and what did not."""
    cells: dict[tuple[str, str], Counter[str]] = {}
    for node, outcome in results.outcomes.items():
        if check := results.checks.get(node):
            cells.setdefault((check.model, check.area), Counter())[outcome] += 1
    models = {model for model, _ in cells}
    areas = sorted({area for _, area in cells})
    rows = [
        [key, *(_cell(cells.get((key, area))) for area in areas)]
        for key in registry()
        if key in models
    ]
    return [["", *areas], *rows]


def _aligned(rows: list[list[str]]) -> list[str]:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return ["  ".join(f"{t:<{w}}" for t, w in zip(row, widths, strict=True)) for row in rows]


def brief(rows: list[list[str]]) -> list[str]:
    """What -q leaves of the table: its size, and the cells with more than passes."""
    (_, *areas), *models = rows
    if not models:
        return []
    cells = [
        f"{key} {area}: {cell}"
        for key, *row in models
        for area, cell in zip(areas, row, strict=True)
        if cell != "-" and not cell.isdigit()
    ]
    size = f"{len(models)} x {len(areas)}"
    return [*cells, f"model x area: {size}, {len(cells)} with more than passes"]


def _cell(counts: Counter[str] | None) -> str:
    """`120`, or `117 + 3 known`, or `-` where nothing ran."""
    if not counts:
        return "-"
    parts = [str(counts["passed"])] if counts["passed"] else []
    parts += [f"{counts[name]} {word}" for name, word in _WORDS.items() if counts[name]]
    return " + ".join(parts)


def causes(results: Results) -> list[str]:
    """A line for each likely cause that several failures of a model share, with their number."""
    found: dict[tuple[str, str], list[Finding]] = {}
    for finding in results.failures():
        if finding.check and finding.cause:
            found.setdefault((finding.check.model, finding.cause), []).append(finding)
    return [
        f"{model}: {len(findings)} failures, likely cause: {cause}"
        for (model, cause), findings in found.items()
        if len(findings) > 1
    ]


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """The table, short under -q, and always everything that stopped an update or the gate."""
    results, verbosity = config.stash[RESULTS], config.get_verbosity()
    rows = table(results)
    if verbosity == -1:
        for line in brief(rows):
            terminalreporter.write_line(line)
    if len(rows) > 1 and verbosity >= 0:
        terminalreporter.section("model x area: checks passed (known = declared upstream failure)")
        for line in _aligned(rows):
            terminalreporter.write_line(line)
    for line in causes(results):
        terminalreporter.write_line(line, red=True)
    for line in results.unused_snapshots:
        terminalreporter.write_line(f"unused snapshots: {line}")
    if not config.getoption("gate"):
        for line in results.missing_evidence:
            terminalreporter.write_line(line)
    for line in (*results.notes, *([results.scope] if results.scope else [])):
        terminalreporter.write_line(line)
    for line in results.problems:
        terminalreporter.write_line(line, red=True)

"""What a run found: outcomes by model and area, the matrix at its end, and the gate."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from .device import has_cuda
from .models import registry

WORDS = {"failed": "FAILED", "error": "ERROR", "known": "known", "skipped": "skipped"}


@dataclass(eq=False)  # pytest keeps plugins in sets
class Results:
    """Outcomes by node id: passed, failed, error, known (an expected failure) or skipped."""

    selected: list[str] = field(default_factory=list)
    outcomes: dict[str, str] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)
    skips: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    unused: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    unproved: list[str] = field(default_factory=list)  # other evidence that is not there

    def outcome(self, node: str) -> str | None:
        """The node's outcome, None if it did not run."""
        return self.outcomes.get(node)

    def nodes(self) -> list[str]:
        """What was selected; on xdist's controller, which collects nothing, what was reported."""
        return self.selected or list(self.outcomes)

    def whole(self) -> bool:
        """Whether nothing was left out and every selected test has an outcome."""
        ran = all(node in self.outcomes for node in self.selected)
        return bool(self.outcomes) and not self.left_out and ran

    def pytest_deselected(self, items: list[pytest.Item]) -> None:
        """Remember what options or plugins took away."""
        self.left_out += [item.nodeid for item in items]

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Remember modules whose tests nobody knows: skipped whole, or broken."""
        if not report.passed:
            self.left_out.append(report.nodeid)
        if report.skipped:
            self.count_skip(report.longrepr)

    def count_skip(self, longrepr: object) -> None:
        """Count a skip under its reason."""
        reason = longrepr[2] if isinstance(longrepr, tuple) else "no reason"
        self.skips[reason.removeprefix("Skipped: ")] += 1

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Remember what is to run (under xdist the reports say it)."""
        self.selected = [item.nodeid for item in session.items]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Sort a report into one outcome; a broken setup or teardown is an error."""
        node = report.nodeid
        if hasattr(report, "wasxfail"):
            self.outcomes[node] = "known" if report.skipped else "failed"
        elif report.skipped:
            self.outcomes[node] = "skipped"
            self.count_skip(report.longrepr)
        elif report.failed:
            self.outcomes[node] = "failed" if report.when == "call" else "error"
        elif report.when == "call":
            self.outcomes[node] = "passed"


NO_CUDA = "no CUDA device"  # the reason of every skip for want of one
RESULTS = pytest.StashKey[Results]()


def pytest_configure(config: pytest.Config) -> None:
    """Register the record of outcomes."""
    config.stash[RESULTS] = Results()
    config.pluginmanager.register(config.stash[RESULTS], "conformance-results")


def model_of(node: str) -> str:
    """The model key in a node id such as `...[llama3_1-whitespace.tab]`."""
    return node.partition("[")[2].rstrip("]").partition("-")[0]


def place_of(node: str) -> tuple[str, str] | None:
    """(model, area) of a node id, None for tests that are no check of a model."""
    path, key = node.partition("::")[0], model_of(node)
    if key not in registry() or "/meta/" in path:
        return None
    return key, Path(path).stem.removeprefix("test_")


def matrix(outcomes: dict[str, str]) -> list[str]:
    """Lines of the table model x area; a cell counts what passed and names what did not."""
    cells: dict[tuple[str, str], Counter[str]] = {}
    for node, outcome in outcomes.items():
        if place := place_of(node):
            cells.setdefault(place, Counter())[outcome] += 1
    keys = [key for key in registry() if any(key == place[0] for place in cells)]
    areas = sorted({area for _, area in cells})
    table = [["", *areas]]
    for key in keys:
        table.append([key, *(cell_text(cells.get((key, area))) for area in areas)])
    widths = [max(len(line[i]) for line in table) for i in range(len(table[0]))]
    return ["  ".join(f"{t:<{w}}" for t, w in zip(line, widths, strict=True)) for line in table]


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
    """The matrix, unused snapshots and everything that stopped an update or the gate."""
    results = config.stash[RESULTS]
    table = matrix(results.outcomes)
    if len(table) > 1:
        terminalreporter.section("model x area: checks passed (known = declared upstream failure)")
        for line in table:
            terminalreporter.write_line(line)
    for line in results.unused:
        terminalreporter.write_line(f"unused snapshots: {line}")
    if not config.getoption("gate"):
        for line in results.unproved:
            terminalreporter.write_line(line)
    for line in results.problems:
        terminalreporter.write_line(line, red=True)

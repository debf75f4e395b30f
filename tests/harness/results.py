"""What a run found, kept as plain data: the terminal, the gate and every report read it."""

import json
from collections import Counter
from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from .errors import Broken
from .findings import Finding, finding_of, message_of, outcome_of, reason_of
from .models import registry

MEASURED = ("memory ", "latency ")  # how the names of measured properties begin


@dataclass(eq=False)  # pytest keeps plugins in sets
class Results:
    """Outcomes by node id: passed, failed, error, known (an expected failure) or skipped."""

    selected: list[str] = field(default_factory=list)
    outcomes: dict[str, str] = field(default_factory=dict)
    findings: dict[str, Finding] = field(default_factory=dict)
    measured: dict[str, dict[str, Any]] = field(default_factory=dict)  # `memory smollm2-cpu-nf4`
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

    def red(self) -> list[Finding]:
        """What failed, modules and fixtures first; in an order that no scheduling changes."""
        found = [it for it in self.findings.values() if it.outcome in ("failed", "error")]
        return sorted(found, key=lambda it: (it.outcome != "error", it.node))

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
            self.skips[reason_of(report)] += 1
        if report.failed:
            self.findings[report.nodeid] = Finding(report.nodeid, "error", message_of(report))

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Remember what is to run (under xdist the reports say it)."""
        self.selected = [item.nodeid for item in session.items]

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
        """Hand message and evidence of a failure to the report, which travels between processes."""
        report = yield
        if call.excinfo:
            error = call.excinfo.value
            failed = isinstance(error, pytest.fail.Exception)
            report.message = str(error) if failed else call.excinfo.exconly()
            report.evidence = error.evidence if isinstance(error, Broken) else None
            if failed and (crash := getattr(report.longrepr, "reprcrash", None)):
                crash.message = report.message  # JUnit and pytest's summary put the class in front
        return report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Sort a report into one outcome; a broken setup or teardown is an error."""
        for name, value in report.user_properties:
            if name.startswith(MEASURED):
                self.measured[name] = json.loads(str(value))
        outcome = outcome_of(report)
        before = self.outcomes.get(report.nodeid)
        # What a failed test's teardown says is a consequence; the failure is what is told.
        if outcome is None or before in ("failed", "error"):
            return
        self.outcomes[report.nodeid] = outcome
        if outcome == "skipped":
            self.skips[reason_of(report)] += 1
        if outcome != "passed":
            self.findings[report.nodeid] = finding_of(report, outcome)


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

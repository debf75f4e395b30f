"""What a run found, kept as plain data: the terminal, the gate and every report read it."""

import json
from collections import Counter
from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from .errors import Broken
from .evidence import Evidence
from .models import registry
from .visible import quote

MEASURED = ("memory ", "latency ")  # how the names of measured properties begin


@dataclass(frozen=True)
class Finding:
    """A test that did not simply pass, or a module that could not be collected."""

    node: str
    outcome: str  # failed, error, known or skipped
    lines: tuple[str, ...]  # the message; the first line can be used alone
    reason: str = ""  # why it is known or skipped
    evidence: Evidence | None = None
    line: int | None = None  # where the test begins in its file, from 1

    @property
    def first_line(self) -> str:
        """What every report shows first, letter by letter the same."""
        return self.lines[0] if self.lines else self.reason

    @property
    def rerun(self) -> str:
        """What to type next: the message's own last line, or the test alone."""
        last = self.lines[-1] if self.lines else ""
        own = last.startswith(("rerun: ", "if intended: "))
        return last if own else f"rerun: pytest {quote(self.node)}"


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
        if outcome is None:
            return
        self.outcomes[report.nodeid] = outcome
        if outcome == "skipped":
            self.skips[reason_of(report)] += 1
        if outcome != "passed":
            self.findings[report.nodeid] = finding_of(report, outcome)


def outcome_of(report: pytest.TestReport) -> str | None:
    """What a report of one phase says of its test; None if the phase only passed."""
    if hasattr(report, "wasxfail"):
        return "known" if report.skipped else "failed"
    if report.skipped:
        return "skipped"
    if report.failed:
        return "failed" if report.when == "call" else "error"
    return "passed" if report.when == "call" else None


def finding_of(report: pytest.TestReport, outcome: str) -> Finding:
    """What is to be told of a test that did not simply pass."""
    start = report.location[1]
    line = None if start is None else start + 1
    if outcome == "skipped":
        return Finding(report.nodeid, outcome, (), reason_of(report), line=line)
    reason = str(getattr(report, "wasxfail", "")).removeprefix("reason: ")
    evidence = getattr(report, "evidence", None)
    return Finding(report.nodeid, outcome, message_of(report), reason, evidence, line)


def reason_of(report: pytest.TestReport | pytest.CollectReport) -> str:
    """Why something was skipped."""
    where = report.longrepr
    reason = where[2] if isinstance(where, tuple) else "no reason"
    return reason.removeprefix("Skipped: ")


def message_of(report: pytest.TestReport | pytest.CollectReport) -> tuple[str, ...]:
    """What was said, by line; of a traceback the exception alone."""
    lines = tuple(getattr(report, "message", report.longreprtext).splitlines())
    if isinstance(report, pytest.CollectReport):
        # A module's traceback comes as text, with the exception on the last of its marked lines.
        said = [line.removeprefix("E ").strip() for line in lines if line.startswith("E ")]
        return (*said[-1:], *lines)
    return lines


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

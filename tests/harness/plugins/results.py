"""Outcomes of a run as plain data: the terminal, the gate and every report read them."""

import json
import shlex
from collections import Counter
from collections.abc import Collection, Generator
from dataclasses import asdict, dataclass, field
from typing import Any

import pytest

from ..diff import Evidence
from ..errors import CheckFailed
from ..sources.folders import Sources
from ..text import quote
from .collection import CELL, CHECK, Cell, Check, Collected, Recorder, received
from .tokenizers import SOURCES

MEASURED = ("memory ", "latency ")  # how the names of measured properties begin
KNOWN = pytest.StashKey[str]()  # of an item that fixtures/ expect to fail: the declared reason
_BY_HAND = "an expected failure that fixtures/upstream_issues.toml does not declare, but"


@dataclass(frozen=True)
class Finding:
    """A test that did not simply pass, or a module that could not be collected."""

    node: str
    outcome: str  # failed, error, known or skipped
    lines: tuple[str, ...]  # the message; the first line can be used alone
    reason: str = ""  # why it is known or skipped
    check: Check | None = None  # None for what checks no model
    cause: str = ""  # the likely one, if the check named it
    next_step: str = ""  # the command to type
    evidence: Evidence | None = None
    line: int | None = None  # where the test begins in its file, from 1

    @property
    def first_line(self) -> str:
        """What every report shows first, letter by letter the same."""
        return self.lines[0] if self.lines else self.reason


@dataclass(eq=False)  # pytest keeps plugins in sets
class Results:
    """Outcomes by node id: passed, failed, error, known (an expected failure) or skipped."""

    selected: list[str] = field(default_factory=list)
    checks: dict[str, Check] = field(default_factory=dict)
    outcomes: dict[str, str] = field(default_factory=dict)
    findings: dict[str, Finding] = field(default_factory=dict)
    measured: dict[str, dict[str, Any]] = field(default_factory=dict)  # `memory smollm2-cpu-nf4`
    left_out: list[str] = field(default_factory=list)
    skips: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    unused_snapshots: list[str] = field(default_factory=list)
    missing_snapshots: list[str] = field(default_factory=list)
    missing_evidence: list[str] = field(default_factory=list)  # of other kinds
    cells: dict[str, Cell] = field(default_factory=dict)  # of what has an outcome
    recorder: Recorder = field(default_factory=Recorder)
    collection: Collected | None = None  # None: unknown, for no worker of xdist has told
    scope: str = ""  # what the gate demands and has, in one line; empty without it
    notes: list[str] = field(default_factory=list)  # what an update of the ledger has changed

    def failures(self) -> list[Finding]:
        """What failed, modules and fixtures first; in an order that no scheduling changes."""
        failed = [f for f in self.findings.values() if f.outcome in ("failed", "error")]
        return sorted(failed, key=lambda finding: (finding.outcome != "error", finding.node))

    def is_complete(self) -> bool:
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
            self.skips[skip_reason(report)] += 1
        if report.failed:
            lines = report.longreprtext.splitlines()
            # A traceback comes as text, with the exception on the last of its marked lines.
            marked = [line.removeprefix("E ").strip() for line in lines if line.startswith("E ")]
            shown = (*marked[-1:], *lines)
            finding = Finding(report.nodeid, "error", shown, next_step=_rerun(report.nodeid))
            self.findings[report.nodeid] = finding

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Remember what was collected, and what of it is to run."""
        self.collection = self.recorder.collection
        self.selected = [item.nodeid for item in session.items]
        stashed = {item.nodeid: item.stash.get(CHECK, None) for item in session.items}
        self.checks = {node: check for node, check in stashed.items() if check}

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: list[str]) -> None:
        """Remember what is to run, of a worker."""
        self.selected = list(ids)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Take over from a worker what it had collected."""
        self.collection = self.collection or received(node)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, Any, Any]:
        """Put check and failure on the report, as plain data: it travels between processes."""
        error = call.excinfo
        next_step = _with_next_step(item, error.value) if error else ""
        report = yield
        check = item.stash.get(CHECK, None)
        report.check = check and asdict(check)
        report.cell = list(item.stash.get(CELL, ()))  # xdist sends no other tuple than plain ones
        if error:
            is_fail = isinstance(error.value, pytest.fail.Exception)
            message = str(error.value) if is_fail else error.exconly()
            report.failure = {
                "lines": message.splitlines(),
                "cause": getattr(error.value, "cause", ""),
                "next_step": next_step,
                "evidence": getattr(error.value, "evidence", None),
            }
            if is_fail and (crash := getattr(report.longrepr, "reprcrash", None)):
                crash.message = message  # JUnit and pytest's summary put the class in front
        report.known, report.raised = item.stash.get(KNOWN, None), error is not None
        if getattr(report, "wasxfail", report.known) != report.known:
            _refuse_by_hand(report)
        return report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Sort a report into one outcome; a broken setup or teardown is an error."""
        for name, value in report.user_properties:
            if name.startswith(MEASURED):
                self.measured[name] = json.loads(str(value))
        outcome = _outcome(report)
        # What a failed test's teardown reports is a consequence; the failure is what counts.
        if outcome is None or self.outcomes.get(report.nodeid) in ("failed", "error"):
            return
        self.outcomes[report.nodeid] = outcome
        if cell := getattr(report, "cell", None):
            self.cells[report.nodeid] = Cell(*cell)
        if report.nodeid not in self.checks and (check := getattr(report, "check", None)):
            self.checks[report.nodeid] = Check(**check)  # from a worker of xdist
        if outcome == "skipped":
            self.skips[skip_reason(report)] += 1
        if outcome != "passed":
            check = self.checks.get(report.nodeid)
            self.findings[report.nodeid] = _finding(report, outcome, check)


def _refuse_by_hand(report: Any) -> None:
    """Make a failure of what a mark, a call or a plugin excuses: only fixtures/ may do that."""
    line = f"{_BY_HAND} a mark or a call of xfail: {report.wasxfail or 'without a reason'}"
    del report.wasxfail
    report.outcome, report.longrepr = "failed", line
    report.failure = _unjudged(report.nodeid, [line])


def _unjudged(nodeid: str, lines: list[str]) -> dict[str, Any]:
    """A failure as reports carry it, of which no check has told more than these lines."""
    return {"lines": lines, "cause": "", "next_step": _rerun(nodeid), "evidence": None}


def _rerun(nodeid: str) -> str:
    return f"rerun: pytest {quote(nodeid)}"


def _with_next_step(item: pytest.Item, error: BaseException) -> str:
    """The command to type next, which a failed check's own message then ends with."""
    rerun = _rerun(item.nodeid)
    if not isinstance(error, CheckFailed):
        return rerun
    check = item.stash.get(CHECK, None)
    step = error.next_step or f"{rerun} {error.rerun_options}".rstrip()
    keys = [check.model, check.case] if check else []
    error.suggest(with_sources(step, item.config.stash[SOURCES], keys))
    return error.next_step


RESULTS = pytest.StashKey[Results]()


def pytest_configure(config: pytest.Config) -> None:
    """Register the record of outcomes."""
    results = config.stash[RESULTS] = Results()
    config.pluginmanager.register(results, "conformance-results")
    config.pluginmanager.register(results.recorder, "conformance-recorder")


def with_sources(command: str, sources: Sources, keys: Collection[str]) -> str:
    """The command with `--source`, and with `--model-dir` of these models: without them it would
    look at other files.
    """
    options = [] if sources.default == "bundle" else [f"--source {sources.default}"]
    for key, folder in sources.directories.items():
        if key in keys:
            options.append(f"--model-dir {shlex.quote(f'{key}={folder}')}")
    return " ".join([command, *options])


def skip_reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    """Why something was skipped."""
    where = report.longrepr
    reason = where[2] if isinstance(where, tuple) else "no reason"
    return reason.removeprefix("Skipped: ")


def _outcome(report: pytest.TestReport) -> str | None:
    """The outcome by the report of one phase; None if setup or teardown only passed.

    An exception that a plugin hides, or means to try again, is a failure.
    """
    if getattr(report, "raised", False) and not (report.failed or report.skipped):
        return "failed"
    if hasattr(report, "wasxfail"):
        declared = report.skipped and report.wasxfail == report.known
        return "known" if declared else "failed"
    if report.skipped:
        return "skipped"
    if report.failed:
        return "failed" if report.when == "call" else "error"
    return "passed" if report.when == "call" else None


def _finding(report: pytest.TestReport, outcome: str, check: Check | None) -> Finding:
    start = report.location[1]
    line = None if start is None else start + 1
    if outcome == "skipped":
        return Finding(report.nodeid, outcome, (), skip_reason(report), check, line=line)
    reason = str(getattr(report, "wasxfail", "")).removeprefix("reason: ")
    failure = getattr(report, "failure", None)
    failure = failure or _unjudged(report.nodeid, report.longreprtext.splitlines())
    return Finding(
        report.nodeid,
        outcome,
        tuple(failure["lines"]),
        reason,
        check,
        failure["cause"],
        failure["next_step"],
        failure["evidence"],
        line,
    )

"""What is told of a test that did not simply pass: every report shows the same lines."""

from dataclasses import dataclass

import pytest

from .evidence import Evidence
from .repeating import with_sources
from .visible import quote


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
        return last if own else with_sources(f"rerun: pytest {quote(self.node)}", self.node)


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

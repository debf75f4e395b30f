"""What page and terminal show: all versions, the steps between them, and what stays open."""

from collections.abc import Iterator
from dataclasses import dataclass

from tests.harness.data.upstream_issues import UpstreamIssue

from .causes import MOVERS, Cause
from .compare import Compared
from .differences import Rows, begins
from .runner import Seen


@dataclass(frozen=True)
class Report:
    """All that was observed of a package; `files` holds the sha256 of each model's files."""

    package: str
    versions: list[Seen]
    steps: list[Compared]
    files: dict[str, dict[str, str]]
    rows: Rows

    @property
    def differs(self) -> bool:
        """Whether anything differs, or a version could not be had."""
        changed = any(step.causes or step.lost for step in self.steps)
        return changed or any(seen.problem for seen in self.versions)

    def unexplained(self, seen: Seen) -> list[str]:
        """The red tests of a version that no difference to a neighbour is about."""
        near = [step for step in self.steps if seen in (step.older, step.newer)]
        places = {f"[{one.model}-{one.case}" for step in near for one in step.differences}
        return [node for node in seen.outcomes.red if not any(place in node for place in places)]

    def first_of(self, cause: Cause) -> str:
        """Model and case of a cause's first difference, and where it begins."""
        first = cause.differences[0]
        return f"{first.where}: {begins(first, self.rows)}"

    def lines(self) -> Iterator[str]:
        """Lines for the terminal: a version a line, then the causes of every step."""
        for seen in self.versions:
            ends = seen.outcomes
            tests = f"{ends.passed} passed, {len(ends.known)} known, {len(ends.red)} red"
            unexplained = len(self.unexplained(seen))
            more = f", {unexplained} unexplained" if unexplained else ""
            yield f"{self.package} {seen.label}: {seen.problem or ends.problem or tests}{more}"
        for step in self.steps:
            yield ""
            yield f"{step.older.label} -> {step.newer.label}: {_headline(step)}"
            for cause in step.causes:
                what = f"{cause.verdict} {cause.kind}, {', '.join(cause.calls)}"
                yield f"  {what} ({len(cause.differences)} in {', '.join(cause.models)})"
                yield f"    {self.first_of(cause)}"
                if cause.kind in MOVERS:
                    yield f"    {cause.why}"
                yield from _issue_lines(cause.issue)
            for row in step.lost:
                yield f"  saved by {row.saver}, read by {row.loader}, {row.model}: {row.result}"
                yield from _issue_lines(row.issue(step.packages))


def _issue_lines(issue: UpstreamIssue | None) -> Iterator[str]:
    if issue:
        yield f"    known: {issue.reason} ({issue.package} {issue.versions}): {issue.link}"


def _headline(step: Compared) -> str:
    breaks = sum(cause.verdict == "breaks" for cause in step.causes)
    sizes = [f"{kind} {cases}" for kind, (cases, _) in step.counts.items()]
    words = ", ".join(sizes) or "no difference"
    return f"{words}; {breaks} causes break a contract" if breaks else words

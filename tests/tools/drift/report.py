"""What page and terminal show: all versions, the steps between them, and what stays open."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from tests.harness.data.cases import texts
from tests.harness.data.upstream_issues import UpstreamIssue
from tests.harness.html.pages import render
from tests.harness.html.strips import Cell, align, spans, strip_html, token_cell, words
from tests.harness.text import shortened

from .causes import Cause
from .compare import Compared
from .differences import KINDS, Difference, Rows, begins, is_ids
from .record import Observed
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
        changed |= any(step.times.differ for step in self.steps if step.times)
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

    def data(self) -> dict[str, Any]:
        """The report as `drift.json` holds it (format 3)."""
        return {
            "format": 3,
            "package": self.package,
            "models": self.files,
            "versions": [self._version_data(seen) for seen in self.versions],
            "steps": [self._step_data(step) for step in self.steps],
        }

    def _version_data(self, seen: Seen) -> dict[str, Any]:
        return {
            "label": seen.label,
            "version": seen.version,
            "packages": seen.packages,
            "problem": seen.problem or seen.outcomes.problem or "",
            "passed": seen.outcomes.passed,
            "known": list(seen.outcomes.known),
            "red": list(seen.outcomes.red),
            "unexplained": self.unexplained(seen),
        }

    def _step_data(self, step: Compared) -> dict[str, Any]:
        fields = ("kind", "calls", "why", "verdict", "models", "cases")
        return {
            "older": step.older.label,
            "newer": step.newer.label,
            "causes": [
                {
                    **{name: getattr(cause, name) for name in fields},
                    "differences": [[one.model, one.case] for one in cause.differences],
                    "first": self.first_of(cause),
                    "issue": cause.issue and cause.issue.link,
                }
                for cause in step.causes
            ],
            "saved_files": [asdict(row) for row in step.exchanges],
            "times": step.times and asdict(step.times),
        }

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
            for title, cause in zip(step.titles, step.causes, strict=True):
                found = f"{len(cause.differences)} in {', '.join(cause.models)}"
                yield f"  {cause.verdict} {title} ({found})"
                yield f"    {self.first_of(cause)}"
                yield from _issue_lines(cause.issue)
            for row, models in step.lost_alike:
                names = ", ".join(models)
                yield f"  saved by {row.saver}, read by {row.loader}, {names}: {row.result}"
                yield from _issue_lines(row.issue(step.packages))
            if step.times:
                yield f"  {step.times}"
                yield from (f"    {line}" for line in step.times.groups)


def _issue_lines(issue: UpstreamIssue | None) -> Iterator[str]:
    if issue:
        yield f"    known: {issue.reason} ({issue.package} {issue.versions}): {issue.link}"


def _headline(step: Compared) -> str:
    breaks = sum(cause.verdict == "breaks" for cause in step.causes)
    sizes = [f"{kind} {count}" for kind, (count, _) in step.counts.items()]
    words = ", ".join(sizes) or "no difference"
    more = f"; {breaks} {'causes break' if breaks > 1 else 'cause breaks'} a contract"
    return words + (more if breaks else "")


TEMPLATE = Path(__file__).with_name("page.html.jinja")
EXAMPLES = 3  # of a cause, differences that are shown with their values


def _examples(cause: Cause) -> list[Difference]:
    """A cause's first differences, one a model before a second of the same."""
    seen: Counter[str] = Counter()
    ranks = []
    for difference in cause.differences:
        ranks.append(seen[difference.model])
        seen[difference.model] += 1
    order = sorted(range(len(ranks)), key=ranks.__getitem__)
    return [cause.differences[i] for i in order[:EXAMPLES]]


def _cells(
    difference: Difference, value: Any, observed: dict[str, Observed], rows: Rows
) -> list[Cell]:
    """One side of a strip; empty where the value is no text and no tokens."""
    case = texts().get(difference.case)
    if difference.kind == "ids" and is_ids(value):
        return list(map(token_cell, rows(difference.model, value)))
    if difference.kind == "offsets" and case and isinstance(value, list):
        ids = observed[difference.model].get("ids", {}).get("encode", {}).get(case.name, [])
        return spans(case.full_text, value, ids) if len(ids) == len(value) else []
    if difference.kind in ("decode", "rendered text") and isinstance(value, str):
        added = observed.get(difference.model, {}).get("special tokens", {}).get("added tokens", {})
        return words(value, [token["content"] for token in added.get("", {}).values()])
    return []


def page(report: Report) -> str:
    """The page of a report."""
    rows, steps = report.rows, report.steps
    causes = [(step, cause) for step in steps for cause in step.causes]

    def strip(difference: Difference, step: Compared) -> Markup:
        left = _cells(difference, difference.left, step.older.observed, rows)
        right = _cells(difference, difference.right, step.newer.observed, rows)
        return Markup(strip_html(align(left, right)) if left and right else "")

    return render(
        TEMPLATE,
        {
            "begins": lambda one: begins(one, rows),
            "examples": _examples,
            "strip": strip,
            "shortened": shortened,
        },
        report=report,
        kinds=[kind for kind in KINDS if any(kind in step.counts for step in steps)],
        judged=any(not (seen.problem or seen.outcomes.problem) for seen in report.versions),
        broken=[pair for pair in causes if pair[1].verdict == "breaks"],
        fixed=[pair for pair in causes if pair[1].verdict == "fixes"],
        known=[pair for pair in causes if pair[1].verdict == "changes" and pair[1].issue],
    )

"""The report as one page, in which both values of a cause's first differences are aligned."""

from collections import Counter
from pathlib import Path
from typing import Any

from markupsafe import Markup

from tests.harness.data.cases import texts
from tests.harness.html.pages import render
from tests.harness.html.strips import Cell, align, spans, strip_html, token_cell, words

from .causes import Cause
from .compare import Compared
from .differences import KINDS, Difference, Rows, begins, is_ids
from .record import Observed
from .report import Report

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
    readable = difference.kind in ("decode", "rendered text") and isinstance(value, str)
    return words(value) if readable else []


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
        {"begins": lambda one: begins(one, rows), "examples": _examples, "strip": strip},
        report=report,
        kinds=[kind for kind in KINDS if any(kind in step.counts for step in steps)],
        judged=any(not (seen.problem or seen.outcomes.problem) for seen in report.versions),
        broken=[pair for pair in causes if pair[1].verdict == "breaks"],
        fixed=[pair for pair in causes if pair[1].verdict == "fixes"],
        known=[pair for pair in causes if pair[1].verdict == "changes" and pair[1].issue],
    )

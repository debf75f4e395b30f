"""The report as one page, and the examples in it: both values, aligned."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from markupsafe import Markup

from tests.harness.data.cases import texts
from tests.harness.html.pages import render
from tests.harness.html.strips import Cell, Column, align, spans, strip_html, token_cell, words

from .compare import Compared
from .differences import KINDS, Difference, Rows, begins, is_ids
from .record import short

TEMPLATE = Path(__file__).with_name("page.html.jinja")


def _cells(difference: Difference, value: Any, observed: dict[str, Any], rows: Rows) -> list[Cell]:
    """One side of a strip; empty where the value is no text and no tokens."""
    case = texts().get(difference.case)
    if difference.kind == "ids" and is_ids(value):
        return list(map(token_cell, rows(difference.model, value)))
    if difference.kind == "offsets" and case and isinstance(value, list):
        ids = observed[difference.model].get("ids", {}).get("encode", {}).get(case.name, [])
        return spans(case.full_text, value, ids) if len(ids) == len(value) else []
    readable = difference.kind in ("decode", "rendered text") and isinstance(value, str)
    return words(value) if readable else []


def example(difference: Difference, compared: Compared, rows: Rows) -> dict[str, Any]:
    """Both values, shortened where they are long, and the strip's columns."""
    sides = (
        _cells(difference, difference.left, compared.older.observed, rows),
        _cells(difference, difference.right, compared.newer.observed, rows),
    )
    return {
        "model": difference.model,
        "case": difference.case,
        "left": short(difference.left),
        "right": short(difference.right),
        "first": begins(difference, rows),
        "strip": [asdict(column) for column in align(*sides)] if all(sides) else [],
    }


def _strip(columns: list[dict[str, Any]]) -> Markup:
    sides = [
        Column(*(tuple(Cell(**cell) for cell in column[side]) for side in ("left", "right")))
        for column in columns
    ]
    return Markup(strip_html(sides))


def page(data: dict[str, Any]) -> str:
    """The page of a report."""
    causes = [(step, cause) for step in data["steps"] for cause in step["causes"]]
    lost = [
        (step, [row for row in step["saved_files"] if not row["same"]]) for step in data["steps"]
    ]
    return render(
        TEMPLATE,
        {"strip": _strip},
        data=data,
        kinds=[kind for kind in KINDS if any(kind in step["counts"] for step in data["steps"])],
        judged=any(not (seen["problem"] or seen["tests_problem"]) for seen in data["versions"]),
        broken=[pair for pair in causes if pair[1]["verdict"] == "breaks"],
        fixed=[pair for pair in causes if pair[1]["verdict"] == "fixes"],
        known=[pair for pair in causes if pair[1]["verdict"] == "changes" and pair[1]["issue"]],
        lost=[(step, rows) for step, rows in lost if rows],
    )

"""A difference made ready to be shown: both values, where they part, and the aligned strip."""

from dataclasses import asdict
from typing import Any

from tests.harness.cases import texts
from tests.harness.strips import Cell, align, spans, token_cell, words

from .compare import Compared
from .differences import Difference, Rows, begins, is_ids
from .record import short


def cells(difference: Difference, value: Any, observed: dict[str, Any], rows: Rows) -> list[Cell]:
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
        cells(difference, difference.left, compared.older.observed, rows),
        cells(difference, difference.right, compared.newer.observed, rows),
    )
    return {
        "model": difference.model,
        "case": difference.case,
        "left": short(difference.left),
        "right": short(difference.right),
        "first": begins(difference, rows),
        "strip": [asdict(column) for column in align(*sides)] if all(sides) else [],
    }

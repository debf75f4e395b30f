"""The report as one page."""

from pathlib import Path
from typing import Any

from markupsafe import Markup

from tests.harness.pages import render
from tests.harness.strips import Cell, Column, strip_html

from .differences import KINDS

TEMPLATE = Path(__file__).with_name("page.html.jinja")


def strip(columns: list[dict[str, Any]]) -> Markup:
    """The strip of an example's columns."""
    sides = [
        Column(*(tuple(Cell(**cell) for cell in column[side]) for side in ("left", "right")))
        for column in columns
    ]
    return Markup(strip_html(sides))


def page(data: dict[str, Any]) -> str:
    """The page of a report."""
    causes = [(step, cause) for step in data["steps"] for cause in step["causes"]]
    answer: dict[str, Any] = {
        "judged": any(not it["problem"] and not it["tests_problem"] for it in data["versions"]),
        "broken": [it for it in causes if it[1]["verdict"] == "breaks"],
        "mended": [it for it in causes if it[1]["verdict"] == "mends"],
        "told": [it for it in causes if it[1]["verdict"] == "changes" and it[1]["issue"]],
    }
    unlike = [
        (step, [it for it in step["saved_files"] if not it["same"]]) for step in data["steps"]
    ]
    answer["lost"] = [it for it in unlike if it[1]]
    kinds = [kind for kind in KINDS if any(kind in step["counts"] for step in data["steps"])]
    return render(TEMPLATE, {"strip": strip}, data=data, kinds=kinds, **answer)

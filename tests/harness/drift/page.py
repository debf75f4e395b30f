"""The report as one page: no scripts, nothing from elsewhere, hostile text stays text."""

import base64
import hashlib
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from ..strips import STYLE, Cell, Column, strip_html
from ..visible import escape_character
from .differences import KINDS

TEMPLATE = Path(__file__).with_name("page.html.jinja")


def readable(value: Any) -> str:
    """Any text with control, bidi and other misleading characters made visible.

    Backslashes and quotes stay: most texts that come here are escaped already.
    """
    return "".join(it if it in "\\'" else escape_character(it) for it in str(value))


def strip(columns: list[dict[str, Any]]) -> Markup:
    """The strip of an example's columns."""
    sides = [
        Column(*(tuple(Cell(**cell) for cell in column[side]) for side in ("left", "right")))
        for column in columns
    ]
    return Markup(strip_html(sides))


def page(data: dict[str, Any]) -> str:
    """The page of a report; its policy allows the one style sheet and nothing else."""
    source = TEMPLATE.read_text(encoding="utf-8").replace("/* strips */\n", STYLE)
    style = source.partition("<style>")[2].partition("</style>")[0]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    jinja = Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined
    )
    jinja.filters |= {"readable": readable, "strip": strip}
    template = jinja.from_string(source)
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
    return template.render(data=data, kinds=kinds, digest=digest, **answer)

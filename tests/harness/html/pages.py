"""Pages without scripts that load nothing: what all of them share; hostile text stays text."""

import base64
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from ..text import readable as escape_misleading

_HERE = Path(__file__).parent
LONGEST = 4000  # characters of one text that a page shows


def readable(value: Any) -> str:
    """Any value as text with misleading characters visible; cut after `LONGEST` characters."""
    text = str(value)
    shown = escape_misleading(text[:LONGEST])
    return shown if len(text) <= LONGEST else f"{shown} ... ({len(text):,} characters in all)"


def render(template: Path, filters: dict[str, Callable[..., Any]], **data: Any) -> str:
    """The page of a template that extends `base.html.jinja`.

    Style sheets beside it are its own. The page's policy allows all of them as one, by its hash,
    and nothing else.
    """
    sheets = [_HERE / "base.css", *sorted(template.parent.glob("*.css"))]
    style = "\n".join(sheet.read_text(encoding="utf-8") for sheet in sheets)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    jinja = Environment(
        loader=FileSystemLoader([template.parent, _HERE]),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    jinja.filters |= {"readable": readable, **filters}
    page = jinja.get_template(template.name)
    return page.render(style=Markup(style), digest=digest, **data)

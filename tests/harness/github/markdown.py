"""Markdown that the text of models and libraries cannot leave."""

import re

from ..visible import readable


def fence(text: str, shortest: int) -> str:
    """Backticks, more of them than the text has in a row."""
    longest = max(map(len, re.findall("`+", text)), default=0)
    return "`" * max(shortest, longest + 1)


def block(lines: list[str]) -> str:
    """Lines of code, letter by letter, with what misleads the eye made visible."""
    text = "\n".join(map(readable, lines))
    around = fence(text, 3)
    return f"{around}text\n{text}\n{around}"


def span(text: str) -> str:
    """A text as code within a line; Markdown takes one space away on both sides."""
    shown = readable(text)
    around = fence(shown, 1)
    return f"{around} {shown} {around}"


def table(rows: list[list[str]]) -> str:
    """Rows of cells, the first one being the titles; a bar in a cell does not end it."""
    titles, *body = [
        [span(cell).replace("|", "\\|") if cell else "" for cell in row] for row in rows
    ]
    lines = [titles, ["---"] * len(titles), *body]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)

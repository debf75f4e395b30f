"""Where two sequences differ first, and both sides around that place."""

from collections.abc import Iterator, Sequence
from typing import Any, Literal, TypedDict

from .text import quote

_BEFORE, _SHOWN = 6, 60  # rows in front of the first difference, and all that are kept


class Evidence(TypedDict):
    """Both sides as rows, every character visible; plain data, for xdist and JSON.

    Tokens are rows of `id 'piece'`, lines are quoted lines of a text.
    """

    kind: Literal["tokens", "lines"]
    first: int  # the position of the first row kept
    position: int  # of the first difference
    got: list[str]
    expected: list[str]


def compared(
    kind: Literal["tokens", "lines"], got: Sequence[str], expected: Sequence[str], position: int
) -> Evidence:
    """The rows around the first difference, at `position`."""
    first = max(0, position - _BEFORE)
    kept = slice(first, first + _SHOWN)
    left, right = list(got[kept]), list(expected[kept])
    return Evidence(kind=kind, first=first, position=position, got=left, expected=right)


def first_difference(got: Sequence[object], expected: Sequence[object]) -> int | None:
    """The first position at which two sequences differ; None if they are equal."""
    if got == expected:
        return None
    for position, (left, right) in enumerate(zip(got, expected, strict=False)):
        if left != right:
            return position
    return min(len(got), len(expected))


def line_at(lines: Sequence[str], position: int) -> str:
    """The line at a position, or the end."""
    return lines[position] if position < len(lines) else "(end)"


def side_by_side(got: Sequence[str], expected: Sequence[str], position: int) -> Iterator[str]:
    """A few lines around the first difference: position, got, expected, `<` where they differ."""
    first, last = max(0, position - 2), min(max(len(got), len(expected)), position + 5)
    width = max([len("got"), *(len(line_at(got, i)) for i in range(first, last))])
    yield f"  {'':>5}  {'got':<{width}}  expected"
    for i in range(first, last):
        left, right = line_at(got, i), line_at(expected, i)
        yield f"  {i:>5}  {left:<{width}}  {right}{'' if left == right else '  <'}"


def compared_texts(got: str, expected: str) -> Evidence:
    """Two different texts, line by line."""
    left, right = (list(map(quote, text.splitlines(keepends=True))) for text in (got, expected))
    return compared("lines", left, right, first_difference(left, right) or 0)


def first_leaf(got: Any, expected: Any, path: str = "") -> tuple[str, Any, Any]:
    """The path of the first difference of two JSON-like values, and both values there."""
    if isinstance(got, dict) and isinstance(expected, dict) and got.keys() == expected.keys():
        name = next(key for key in expected if got[key] != expected[key])
        return first_leaf(got[name], expected[name], f"{path}.{name}")
    if isinstance(got, list) and isinstance(expected, list) and len(got) == len(expected):
        index = next(
            i for i, pair in enumerate(zip(got, expected, strict=True)) if pair[0] != pair[1]
        )
        return first_leaf(got[index], expected[index], f"{path}[{index}]")
    return path, got, expected

"""What a failed comparison leaves for the report: both sides, around their first difference."""

from collections.abc import Sequence
from typing import Literal, TypedDict

BEFORE, SHOWN = 6, 60  # rows in front of the first difference, and all that are kept


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
    first = max(0, position - BEFORE)
    kept = slice(first, first + SHOWN)
    left, right = list(got[kept]), list(expected[kept])
    return Evidence(kind=kind, first=first, position=position, got=left, expected=right)

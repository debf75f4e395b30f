"""Token strips for a page: two rows of tokens, aligned, ids under text, every character visible.

What comes out is HTML without scripts; whatever the texts hold, it stays text.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from html import escape

from ..text import escape_character

SPACE = "\u2423"  # the open box; one in a text is escaped, so the two are not mixed up
_EMPTY = "\u2205"  # in the place of an empty text
_BEFORE, _SHOWN = 4, 28  # cells in front of the first difference, and all that are shown
_WORDS = r"\s+|\w+|[^\w\s]"


@dataclass(frozen=True)
class Cell:
    """A token's text and the line under it; a gap is text that no token covers."""

    text: str
    below: str = ""
    gap: bool = False


@dataclass(frozen=True)
class Column:
    """Cells of both sides for the same stretch of text."""

    left: tuple[Cell, ...]
    right: tuple[Cell, ...]

    @property
    def differs(self) -> bool:
        """Whether the sides are not the same."""
        return self.left != self.right


def visible(text: str) -> str:
    """The text with every character visible; a space is an open box."""
    return "".join(SPACE if char == " " else escape_character(char) for char in text)


def words(text: str, whole: Collection[str] = ()) -> list[Cell]:
    """A text as cells: what is kept `whole`, such as special tokens, words, signs, white space."""
    kept = sorted(filter(None, whole), key=len, reverse=True)
    pattern = re.compile("|".join([*map(re.escape, kept), _WORDS]))
    return [Cell(visible(word)) for word in pattern.findall(text)]


def spans(text: str, offsets: Sequence[Sequence[int]], ids: Sequence[int]) -> list[Cell]:
    """Offsets as cells: the text each covers, id and span under it, and gaps between them."""
    cells, done = [], 0
    for (start, end), token_id in zip(offsets, ids, strict=True):
        if start > done:
            cells.append(Cell(visible(text[done:start]), "gap", gap=True))
        cells.append(Cell(visible(text[start:end]), f"{token_id} {start}:{end}"))
        done = max(done, end)
    rest = [Cell(visible(text[done:]), "gap", gap=True)] if done < len(text) else []
    return cells + rest


def token_cell(row: str) -> Cell:
    """A row of `id 'piece'` as a cell: the piece, and the id under it."""
    number, _, piece = row.partition(" ")
    text = piece[1:-1] if piece.startswith("'") else piece
    return Cell(text.replace(" ", SPACE), number)


def align(left: Sequence[Cell], right: Sequence[Cell]) -> list[Column]:
    """Columns of what is shown: a little before the first difference, then some of the rest."""
    pairs = zip(left, right, strict=False)
    same = next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(left), len(right)))
    first = max(0, same - _BEFORE)
    left, right = left[first : first + _SHOWN], right[first : first + _SHOWN]
    columns = []
    for tag, a, b, c, d in SequenceMatcher(None, left, right, autojunk=False).get_opcodes():
        if tag == "equal":
            columns += [Column((cell,), (cell,)) for cell in left[a:b]]
        else:
            columns += _paired(left[a:b], right[c:d])
    return columns


def _paired(left: Sequence[Cell], right: Sequence[Cell]) -> list[Column]:
    """Columns of a stretch that differs: token by token where both sides have as many, else one."""
    sides = _runs(left), _runs(right)
    if len(sides[0]) != len(sides[1]):
        return [Column(tuple(left), tuple(right))]
    return [Column(*pair) for pair in zip(*sides, strict=True)]


def _runs(cells: Sequence[Cell]) -> list[tuple[Cell, ...]]:
    """Each token with the gap behind it."""
    groups: list[tuple[Cell, ...]] = []
    for cell in cells:
        if cell.gap and groups:
            groups[-1] = (*groups[-1], cell)
        else:
            groups.append((cell,))
    return groups


def _safe(text: str) -> str:
    """HTML of a text that should be visible already; what is not, is made so."""
    kept = (SPACE, "\\", "'")
    return escape("".join(char if char in kept else escape_character(char) for char in text))


def _cell_html(cell: Cell) -> str:
    kind = "cell gap" if cell.gap else "cell"
    text = _safe(cell.text) or _EMPTY
    return f'<span class="{kind}"><b>{text}</b><small>{_safe(cell.below)}</small></span>'


def _side_html(cells: Sequence[Cell]) -> str:
    inner = "".join(map(_cell_html, cells)) or '<span class="cell"><b>(none)</b></span>'
    return f'<span class="side">{inner}</span>'


def strip_html(columns: Sequence[Column]) -> str:
    """The strip; columns that differ are framed and carry a sign, for readers without colour."""
    parts = []
    for column in columns:
        kind = ' class="differs" title="differs"' if column.differs else ""
        sides = _side_html(column.left) + (_side_html(column.right) if column.differs else "")
        parts.append(f"<span{kind}>{sides}</span>")
    return f'<p class="strip">{"".join(parts)}</p>'

"""What differs between the ledger and what was collected, told once for each cause."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from ..data.registry import registry
from ..plugins.collection import Cell
from .ledger import LEDGER, UPDATE, key_of


@dataclass(frozen=True)
class _Dimension:
    """A way to look at cells."""

    cost: float  # of a line that names only this of them: the less it says, the more
    name: Callable[[Cell], str]


def _model(cell: Cell) -> str:
    """The model whose change the cell shows: of a pair the one that is gone, if one is."""
    gone = cell.kind == "other" and cell.topic not in registry()
    return cell.topic if gone else key_of(cell.model)


_Group = tuple[_Dimension, str, set[Cell]]  # its name is what its cells have in common
_CONTRACT = _Dimension(1, lambda cell: f"tests/{cell.file}::{cell.contract}")
_DIMENSIONS = (
    _CONTRACT,
    _Dimension(1, lambda cell: cell.topic),
    _Dimension(1, lambda cell: f"model {_model(cell)}"),
    _Dimension(1.5, lambda cell: f"tests/{cell.file}"),
    _Dimension(1.9, lambda cell: f"all of kind {cell.kind!r}"),
    _Dimension(3, lambda cell: f"tests/{cell.file.partition('/')[0]}"),
)


def difference_lines(expected: Mapping[Cell, int], found: Mapping[Cell, int]) -> list[str]:
    """A line for each likely cause of what differs; empty if the numbers are equal."""
    every = {*expected, *found}
    cells = {cell for cell in every if expected.get(cell, 0) != found.get(cell, 0)}
    if not cells:
        return []
    whole = {n for way in _DIMENSIONS for n, group in _groups(every, way).items() if group <= cells}
    ways = [[(way, *group) for group in _groups(cells, way).items()] for way in _DIMENSIONS]
    ways.append(_largest_whole(cells, whole))

    def cost(groups: list[_Group]) -> tuple[float, int]:
        # What differs only in part is a worse explanation than what differs whole.
        costs = [way.cost * (1 if name in whole else 2) for way, name, _ in groups]
        return sum(costs), len(costs)

    lines = {name: group for _, name, group in min(ways, key=cost)}
    return [_line(name, lines[name], whole, expected, found) for name in sorted(lines)]


def _groups(cells: Iterable[Cell], way: _Dimension) -> dict[str, set[Cell]]:
    groups: dict[str, set[Cell]] = {}
    for cell in cells:
        # What has no topic has no more in common with others than its contract.
        groups.setdefault(way.name(cell) or _CONTRACT.name(cell), set()).add(cell)
    return groups


def _largest_whole(cells: set[Cell], whole: set[str]) -> list[_Group]:
    """Cells by what differs whole, the largest first, and the rest by contract.

    So two causes, a test and a topic that are gone, are two lines.
    """
    rest, chosen = set(cells), list[_Group]()
    while rest:
        groups = [(way, *group) for way in _DIMENSIONS for group in _groups(rest, way).items()]
        wholes = [group for group in groups if group[1] in whole]
        if not wholes:
            return chosen + [(_CONTRACT, *group) for group in _groups(rest, _CONTRACT).items()]
        chosen.append(max(wholes, key=lambda group: (len(group[2]), -group[0].cost)))
        rest -= chosen[-1][2]
    return chosen


def _line(
    name: str,
    cells: set[Cell],
    whole: set[str],
    expected: Mapping[Cell, int],
    found: Mapping[Cell, int],
) -> str:
    """`PLACE is gone: 0 checks, fixtures/evidence.toml says 582 (...); if intended: ...`."""
    before, now = (sum(side.get(cell, 0) for cell in cells) for side in (expected, found))
    words = {-1: "has fewer checks", 0: "is counted otherwise", 1: "has more checks"}
    what = words[(now > before) - (now < before)]
    if name in whole and not (now and before):
        what = "is new" if now else "is gone"
    of = [
        count_of(len({(cell.file, cell.contract) for cell in cells}), "contract"),
        count_of(len({_model(cell) for cell in cells}), "model"),
        count_of(len({cell.topic for cell in cells} - {""}), "topic"),
    ]
    return (
        f"{name} {what}: {now:,}, fixtures/{LEDGER.name} says {before:,} "
        f"({', '.join(each for each in of if each[0] != '0')}); if intended: {UPDATE}"
    )


def count_of(number: int, word: str) -> str:
    """`1 check`, `2,000 checks`."""
    return f"{number:,} {word}{'s' * (number != 1)}"

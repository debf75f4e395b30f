"""The report as one page, made from the data of `report.json` alone."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

from markupsafe import Markup

from ..diff import first_difference
from ..html.lines import line_svg
from ..html.pages import readable, render
from ..html.strips import SPACE, align, strip_html, token_cell
from ..latency.statistics import format_seconds

IN_FULL = 100  # failures shown with all their details; of the others the first line
_TEMPLATE = Path(__file__).parent / "templates" / "page.html.jinja"
_CONTEXT = 3  # equal lines around a change


def page(data: dict[str, Any]) -> str:
    """The page of a run; `data` is a `Report` as plain data."""
    filters: dict[str, Callable[..., Any]] = {
        "token_strip": token_strip,
        "diff_lines": diff_lines,
        "visible": _with_visible_spaces,
        "size": size,
        "duration": format_seconds,
        "history_line": history_line,
    }
    return render(_TEMPLATE, filters, data=data, groups=_by_cause(data["failures"]))


@dataclass(frozen=True)
class DiffLine:
    """A line of a diff; `marked` is the part that differs."""

    sign: str  # a space, - for what was expected, + for what was got
    before: str
    marked: str = ""
    after: str = ""


def token_strip(evidence: dict[str, Any]) -> Markup:
    """Both sides' tokens as HTML: expected above, got below."""
    expected, got = (
        [token_cell(readable(row)) for row in evidence[side]] for side in ("expected", "got")
    )
    return Markup(strip_html(align(expected, got)))


def diff_lines(evidence: dict[str, Any]) -> list[DiffLine]:
    """The diff of two texts; in a changed line the part that differs is marked."""
    old, new = evidence["expected"], evidence["got"]
    diff: list[DiffLine] = []
    for group in SequenceMatcher(None, old, new, autojunk=False).get_grouped_opcodes(_CONTEXT):
        for tag, a, b, c, d in group:
            if tag == "equal":
                diff += [DiffLine(" ", line) for line in old[a:b]]
            else:
                diff += _changed(old[a:b], new[c:d])
    return diff


def _changed(old: Sequence[str], new: Sequence[str]) -> Iterator[DiffLine]:
    """Lines that differ, in pairs if there are as many on both sides."""
    if len(old) == len(new):
        for pair in zip(old, new, strict=True):
            yield from _marked(*pair)
        return
    yield from (DiffLine("-", "", line) for line in old)
    yield from (DiffLine("+", "", line) for line in new)


def _marked(old: str, new: str) -> Iterator[DiffLine]:
    """Both lines with what differs between their common beginning and end."""
    start = first_difference(old, new) or 0
    rest = old[start:], new[start:]
    end = first_difference(*(text[::-1] for text in rest)) or 0
    for sign, text in zip("-+", rest, strict=True):
        stop = len(text) - end
        yield DiffLine(sign, old[:start], text[:stop], text[stop:])


def _with_visible_spaces(text: str) -> str:
    return readable(text).replace(" ", SPACE)


def size(number: int | None) -> str:
    """Bytes, and from 1,000 on in the unit that fits: `1,500 B (1.5 kB)`."""
    if number is None:
        return "not counted"
    units = (("GB", 1e9), ("MB", 1e6), ("kB", 1e3))
    larger = (f" ({number / one:.1f} {unit})" for unit, one in units if abs(number) >= one)
    return f"{number:,} B" + next(larger, "")


def history_line(points: Sequence[Sequence[float]]) -> Markup:
    """A benchmark's history as a line, and its ends in words; `none` before the second run."""
    if len(points) < 2:
        return Markup("none")
    words = f"{len(points)} runs, {format_seconds(points[0][1])} to {format_seconds(points[-1][1])}"
    return Markup(f"{line_svg(points, words)} {words}")


def _by_cause(failures: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Failures by model and likely cause, in the order of the first of each.

    `full` says how many of a group are shown in full: the first of every group come before any
    group's second, so that many failures of one cause do not hide another.
    """
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for failure in failures:
        groups.setdefault((failure["model"], failure["cause"]), []).append(failure)
    ranks = sorted(
        (rank, i) for i, group in enumerate(groups.values()) for rank in range(len(group))
    )
    full = Counter(i for _, i in ranks[:IN_FULL])
    return [
        {"model": model, "cause": cause, "failures": group, "full": full[i]}
        for i, ((model, cause), group) in enumerate(groups.items())
    ]

"""The report as one page, made from the data of `report.json` alone."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

from markupsafe import Markup

from tests.harness.html.pages import readable, render
from tests.harness.html.strips import SPACE, align, strip_html, token_cell
from tests.harness.tokens import parting

from .figures import latency_times, memory_bars

TEMPLATE = Path(__file__).parent / "templates" / "page.html.jinja"
IN_FULL = 100  # failures shown with all their details; of the others the first line
CONTEXT = 3  # equal lines around a change


@dataclass(frozen=True)
class Line:
    """A line of a diff: the sign, and what differs between what is the same."""

    sign: str  # a space, - for what was expected, + for what was got
    before: str
    marked: str = ""
    after: str = ""


def tokens(evidence: dict[str, Any]) -> Markup:
    """Token strips: expected above, got below."""
    old, new = ([token_cell(readable(it)) for it in evidence[side]] for side in ("expected", "got"))
    return Markup(strip_html(align(old, new)))


def lines(evidence: dict[str, Any]) -> list[Line]:
    """The diff of two texts; in a changed line the part that differs is marked."""
    old, new = evidence["expected"], evidence["got"]
    found: list[Line] = []
    for block in SequenceMatcher(None, old, new, autojunk=False).get_grouped_opcodes(CONTEXT):
        for tag, a, b, c, d in block:
            if tag == "equal":
                found += [Line(" ", it) for it in old[a:b]]
            else:
                found += changed(old[a:b], new[c:d])
    return found


def changed(old: Sequence[str], new: Sequence[str]) -> Iterator[Line]:
    """Lines that differ; pairs stand together if there are as many on both sides."""
    if len(old) == len(new):
        for pair in zip(old, new, strict=True):
            yield from marked(*pair)
        return
    yield from (Line("-", "", it) for it in old)
    yield from (Line("+", "", it) for it in new)


def marked(old: str, new: str) -> Iterator[Line]:
    """Both lines with what differs between their common beginning and end."""
    start = parting(old, new) or 0
    rest = old[start:], new[start:]
    end = parting(*(it[::-1] for it in rest)) or 0
    for sign, text in zip("-+", rest, strict=True):
        stop = len(text) - end
        yield Line(sign, old[:start], text[:stop], text[stop:])


def visible_part(text: str) -> str:
    """What differs, with its spaces visible too."""
    return readable(text).replace(" ", SPACE)


def by_cause(failures: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Failures by model and likely cause in the order they came, the first of each in full.

    `full` says how many of a group are; those that come first in their group are preferred.
    """
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for it in failures:
        groups.setdefault((it["model"], it["cause"]), []).append(it)
    ranks = sorted((rank, i) for i, them in enumerate(groups.values()) for rank in range(len(them)))
    full = Counter(i for _, i in ranks[:IN_FULL])
    return [
        {"model": model, "cause": cause, "failures": them, "full": full[i]}
        for i, ((model, cause), them) in enumerate(groups.items())
    ]


def page(data: dict[str, Any]) -> str:
    """The page of a run."""
    filters: dict[str, Callable[..., Any]] = {
        "tokens": tokens,
        "lines": lines,
        "visible": visible_part,
        "memory_bars": memory_bars,
        "latency_times": latency_times,
    }
    return render(TEMPLATE, filters, data=data, groups=by_cause(data["failures"]))

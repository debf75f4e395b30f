"""What differs between two versions' observations, and where each difference begins."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, get_args

from tests.harness.data.upstream_issues import Kind
from tests.harness.diff import first_difference, first_leaf, line_at
from tests.harness.text import quote, shortened

from .record import Observed

ERRORS = "errors and warnings"
KINDS = tuple(kind for kind in get_args(Kind) if kind != "saved files")
LONGEST = 200  # characters of a value that is shown
ABSENT = {"absent": True}  # in the place of a value that one side does not have
_OF_WEIGHTS = ("memory", "generation", "forward")
Rows = Callable[[str, list[int]], list[str]]  # model key and ids to rows of `id 'piece'`


@dataclass(frozen=True)
class Difference:
    """One value that two versions see differently; `case` is empty for one of the whole model."""

    kind: str
    call: str
    model: str
    case: str
    left: Any
    right: Any

    @property
    def where(self) -> str:
        """Model and case."""
        return f"{self.model} {self.case}".strip()


def error_of(value: Any) -> str | None:
    """The message of a value that is an error."""
    return value.get("error") if isinstance(value, dict) else None


def _loads(observed: Observed) -> bool:
    return error_of(observed["load"]["load"][""]) is None


def _has_weights(observed: Observed) -> bool:
    loaded = observed.get("load keys", {}).get("from_pretrained", {}).get("load")
    return loaded is not None and error_of(loaded) is None


def _kind_of(kind: str, left: Any, right: Any) -> str:
    """An error on either side makes it a difference of errors, whatever the value's own kind."""
    if kind == "load":
        return "load failure" if error_of(left) is None or error_of(right) is None else ERRORS
    return ERRORS if error_of(left) is not None or error_of(right) is not None else kind


def compare(model: str, left: Observed, right: Observed) -> Iterator[Difference]:
    """All differences for a model; of a model that one side cannot load, that alone.

    So of its weights, which are loaded apart.
    """
    kinds = ["load"] if not (_loads(left) and _loads(right)) else [*left, *(right.keys() - left)]
    both_have_weights = _has_weights(left) and _has_weights(right)
    if not both_have_weights:
        kinds = [kind for kind in kinds if kind not in _OF_WEIGHTS]
    for kind in kinds:
        calls = left.get(kind, {}), right.get(kind, {})
        for call in dict.fromkeys([*calls[0], *calls[1]]):
            cases = calls[0].get(call, {}), calls[1].get(call, {})
            for case in dict.fromkeys([*cases[0], *cases[1]]):
                if kind == "load keys" and not both_have_weights and case != "load":
                    continue
                old, new = cases[0].get(case, ABSENT), cases[1].get(case, ABSENT)
                if old != new:
                    yield Difference(_kind_of(kind, old, new), call, model, case, old, new)


def show(value: Any) -> str:
    """A value on one line, every character visible."""
    if value == ABSENT:
        return "(absent)"
    if (error := error_of(value)) is not None:
        return quote(error)
    return quote(value) if isinstance(value, str) else quote(json.dumps(value))[1:-1]


def is_ids(value: Any) -> bool:
    """Whether the value is a list of token ids."""
    return isinstance(value, list) and all(type(token_id) is int for token_id in value)


def _labels_begin(difference: Difference, rows: Rows) -> str:
    """The first label that differs, and how many tokens have none."""
    both = difference.left, difference.right
    position = first_difference(*both) or 0

    def label(side: list[int]) -> str:
        if position >= len(side) or side[position] < 0:
            return str(side[position]) if position < len(side) else "(end)"
        return rows(difference.model, [side[position]])[0]

    counts = [f"{sum(each < 0 for each in side)} of {len(side)}" for side in both]
    first = " -> ".join(map(label, both))
    return f"position {position}: {first}; without a label {' -> '.join(counts)}"


def begins(difference: Difference, rows: Rows) -> str:
    """The first place at which the two sides differ, with both values, on one line."""
    left, right, lines = difference.left, difference.right, None
    if difference.kind == "ids" and is_ids(left) and is_ids(right):
        lines = [rows(difference.model, ids) for ids in (left, right)]
    elif difference.kind == "offsets" and isinstance(left, list) and isinstance(right, list):
        lines = [list(map(str, spans)) for spans in (left, right)]
    if lines:
        position = first_difference(left, right) or 0
        sides = [line_at(side, position) for side in lines]
        return f"position {position}: {sides[0]} -> {sides[1]}"
    if difference.kind in ("decode", "rendered text") and isinstance(left, str):
        position = first_difference(left, str(right)) or 0
        sides = [quote(_to_the_end_of_a_word(text[position:])) for text in (left, str(right))]
        return f"character {position}: {sides[0]} -> {sides[1]}"
    if difference.kind == "labels" and is_ids(left) and is_ids(right):
        return _labels_begin(difference, rows)
    if difference.kind == ERRORS and isinstance(left, list) and isinstance(right, list):
        return _messages_begin(left, right)
    path, old, new = _first_place(left, right)
    return f"{path.lstrip('.') + ': ' if path else ''}{brief(old)} -> {brief(new)}"


def _to_the_end_of_a_word(text: str) -> str:
    """The first 24 characters, and what they cut through."""
    end = next((at for at in range(24, len(text)) if text[at].isspace()), len(text))
    return text[: min(end, 60)]


def brief(value: Any) -> str:
    """A value on one line, of a long one the beginning."""
    return shortened(show(value), LONGEST)


def _messages_begin(left: list[str], right: list[str]) -> str:
    """The messages that only one side has; of several the first, and how many more."""
    sides = {
        "new": [text for text in right if text not in left],
        "gone": [text for text in left if text not in right],
    }
    return "; ".join(
        f"{word}: {brief(texts[0])}" + (f" and {len(texts) - 1} more" if len(texts) > 1 else "")
        for word, texts in sides.items()
        if texts
    )


def _first_place(left: Any, right: Any) -> tuple[str, Any, Any]:
    """The path of the first difference, and both values there; a key may be absent."""
    path, old, new = first_leaf(left, right)
    if any(error_of(side) is not None or side == ABSENT for side in (old, new)):
        return path, old, new
    if isinstance(old, dict) and isinstance(new, dict):
        names = dict.fromkeys([*old, *new])
        name = next(name for name in names if old.get(name, ABSENT) != new.get(name, ABSENT))
        inner, old, new = _first_place(old.get(name, ABSENT), new.get(name, ABSENT))
        return f"{path}.{name}{inner}", old, new
    return path, old, new

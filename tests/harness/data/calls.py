"""Calls with results written by hand: `fixtures/calls.json`."""

from functools import cache
from typing import Annotated, Any, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from ..files import FIXTURES
from .registry import ModelKey
from .schema import STRICT, Comment, Slug, objects, parse, read_json

CALLS = FIXTURES / "calls.json"
Kind = Literal[
    "pair",
    "words",
    "word_ids",
    "windows",
    "batch_decode",
    "token_of_character",
    "chat_lengths",
    "marker_position",
]


@dataclass(frozen=True, config=STRICT)
class Call:
    """A call, what it is given, and what each model must make of it; models left out are not tried.

    `call` is a name of `tests/harness/tokenizer/calls.py`, and `given` its keyword arguments.
    """

    id: Slug
    call: Kind
    given: dict[str, Any]
    expected: Annotated[dict[ModelKey, Any], Field(min_length=1)]
    why: Comment


@cache
def calls() -> tuple[Call, ...]:
    """All calls, in the file's order."""
    rows = objects(read_json(CALLS), CALLS)
    return tuple(parse(Call, row, CALLS, str(row.get("id"))) for row in rows)

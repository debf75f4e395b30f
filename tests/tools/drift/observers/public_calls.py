"""Calls that people make of a tokenizer, and that drift compares: `fixtures/public_calls.toml`."""

from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from tests.harness.data.schema import STRICT, Slug, parse, read_tables
from tests.harness.files import FIXTURES

PUBLIC_CALLS = FIXTURES / "public_calls.toml"


@dataclass(frozen=True, config=STRICT)
class PublicCall:
    """A method of a tokenizer, or an attribute, and what it is given.

    In place of a value, also inside of lists, may stand `@ids` and `@pieces` (those of `Price is
    $374`, without special tokens) and `@eos` (that token).
    """

    id: Slug
    call: Annotated[str, Field(pattern=r"^[a-z_]+$")]  # `__call__`: the tokenizer itself
    arguments: tuple[Any, ...] = ()
    given: dict[str, Any] = Field(default_factory=dict)
    attribute: bool = False  # `call` is one, and nothing is called
    pad: bool = False  # pad token = eos token, as the task sets it
    needs: Literal["chat"] | None = None  # what a model must be able to do


def read_public_calls(path: Path = PUBLIC_CALLS) -> tuple[PublicCall, ...]:
    """All calls in the file's order; DataError names the table and the key."""
    tables = read_tables(path)
    return tuple(parse(PublicCall, {**row, "id": key}, path, key) for key, row in tables.items())


@cache
def public_calls() -> tuple[PublicCall, ...]:
    """The project's own, read once."""
    return read_public_calls()

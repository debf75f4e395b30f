"""What adapters are expected to be, and which a run makes, from `fixtures/adapters.toml`."""

from dataclasses import field
from functools import cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from ..errors import DataError
from ..files import FIXTURES
from ..text import allowed_values
from .registry import registry
from .schema import STRICT, Comment, Slug, parse, read_tables

ADAPTERS = FIXTURES / "adapters.toml"
Dtype = Literal["float32", "bfloat16", "float16"]
Rank = Annotated[int, Field(ge=1, le=65_536)]
Targets = tuple[Slug, ...]  # names of linear layers: q_proj


@dataclass(frozen=True, config=STRICT)
class Made:
    """An adapter that a run makes, with seeded random values, where none is given."""

    comment: Comment
    rank: Rank
    alpha: float
    targets: Annotated[Targets, Field(min_length=1)]
    rslora: bool = False
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    dtype: Dtype = "float32"


@dataclass(frozen=True, config=STRICT)
class Given:
    """What an adapter that `--adapter` gives must be; None: whatever its own settings say."""

    base: str | None = None  # how it names its base, if by none of the base's own names
    rank: Rank | None = None
    alpha: float | None = None
    rslora: bool | None = None
    targets: Targets | None = None
    dtype: Dtype | None = None  # of its file


@dataclass(frozen=True, config=STRICT)
class Adapters:
    """What is known of a model's adapters; `key` is the model's."""

    key: str
    base_names: tuple[str, ...] = ()  # of the base, beside its hub id
    made: dict[Slug, Made] = field(default_factory=dict)
    given: Given = field(default_factory=Given)
    # Differences of a saved tokenizer from the base's that are meant: its name, as failures call
    # it, and why.
    tokenizer: dict[str, Comment] = field(default_factory=dict)


def read_adapters(path: Path = ADAPTERS) -> dict[str, Adapters]:
    """By key of the base, in the file's order; DataError names table and key."""
    tables = {}
    for key, table in read_tables(path).items():
        if key not in registry():
            place = f"{path.parent.name}/{path.name}: [{key}]"
            raise DataError(f"{place} is no model: {allowed_values(key, registry())}")
        tables[key] = parse(Adapters, {**table, "key": key}, path, key)
    return tables


@cache
def adapters() -> dict[str, Adapters]:
    """The project's own, read once."""
    return read_adapters()

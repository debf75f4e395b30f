"""Settings that users change: what each may change of a tokenizer, and so that it changes no more.

`fixtures/tokenizer_settings.toml` holds them, a table each.
"""

from functools import cache
from typing import Annotated, Any, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from ..files import FIXTURES
from .schema import STRICT, Comment, Slug, parse, read_tables

SETTINGS = FIXTURES / "tokenizer_settings.toml"
Special = Literal["bos", "eos"]
Side = Literal["left", "right"]
EOS = "@eos"  # as a value or a pad: the model's own eos


@dataclass(frozen=True, config=STRICT)
class Changes:
    """What differs once the setting is made; what is left out stays as the registry has it.

    A special token that the model does not have is never added.
    """

    front: tuple[Special, ...] | None = None  # special tokens in front of a text's ids
    behind: tuple[Special, ...] | None = None  # and behind them
    padding_side: Side | None = None
    truncation_side: Side | None = None
    model_max_length: int | None = None  # also where a text is cut without max_length
    pad: str | None = None  # the pad token; a new one gets the next free id
    clean_up: bool | None = None
    splits_special: bool | None = None  # whether a typed special token becomes plain text


@dataclass(frozen=True, config=STRICT)
class Setting:
    """One setting, by its name in transformers.

    `ways`: set as an attribute of a loaded tokenizer, or given to `from_pretrained`, together with
    all others that are given there.
    """

    id: Slug
    name: str
    value: Any
    why: Comment
    ways: Annotated[tuple[Literal["attribute", "argument"], ...], Field(min_length=1)]
    changes: Changes = Changes()


@cache
def settings() -> dict[str, Setting]:
    """All settings by id, in the file's order."""
    tables = read_tables(SETTINGS)
    return {key: parse(Setting, {**row, "id": key}, SETTINGS, key) for key, row in tables.items()}

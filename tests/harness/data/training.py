"""Rows that a trainer is given, and which of their tokens it must learn: `training_rows.toml`."""

import json
from functools import cache
from typing import Annotated, Any, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from ..files import FIXTURES
from .schema import STRICT, Comment, Slug, parse, read_tables

TRAINING_ROWS = FIXTURES / "training_rows.toml"
_WORDS = " light" * 200


@dataclass(frozen=True, config=STRICT)
class Training:
    """Rows that one trainer gets: its columns, one way of padding, packed or not.

    `learns`: which tokens keep their label: all, the answer with the end of its turn, or nothing.
    """

    id: Slug
    why: Comment
    rows: Annotated[tuple[dict[str, Any], ...], Field(min_length=1)]
    learns: Literal["all", "answer", "nothing"]
    pad: Literal["eos", "own"] = "eos"  # the model's eos, as the task has it, or the folder's pad
    packed: bool = False

    @property
    def is_chat(self) -> bool:
        """Whether the rows hold messages, which take a chat template."""
        return not all(isinstance(value, str) for row in self.rows for value in row.values())

    @property
    def cases(self) -> tuple[str, ...]:
        """A name for each row; packed rows become one."""
        made = 1 if self.packed else len(self.rows)
        return tuple(f"{self.id}_{number}" for number in range(made))

    @property
    def answers(self) -> tuple[str, ...]:
        """What each row's answer says, where it has one of its own."""
        values = [row.get("completion", "") for row in self.rows]
        return tuple(value if isinstance(value, str) else value[0]["content"] for value in values)


@cache
def trainings() -> dict[str, Training]:
    """All tables by id, in the file's order, with their words written out."""
    return {
        key: parse(
            Training,
            json.loads(json.dumps({**table, "id": key}).replace("{words}", _WORDS)),
            TRAINING_ROWS,
            key,
        )
        for key, table in read_tables(TRAINING_ROWS).items()
    }

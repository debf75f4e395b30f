"""Ways to run a model, from `fixtures/forward.toml`."""

from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from ..files import FIXTURES
from .registry import Device
from .schema import STRICT, Comment, Slug, parse, read_tables

RUNS = FIXTURES / "forward.toml"
PLAIN = "plain"  # the run that each part is compared in by itself


@dataclass(frozen=True, config=STRICT)
class Run:
    """How a model is called in one run of the forward pass."""

    id: Slug
    comment: Comment
    tokens: Annotated[int, Field(ge=64)] = 180  # of the longest prompt, nearly
    prompts: Annotated[int, Field(ge=1)] = 1  # several: padded on the left
    new_tokens: Annotated[int, Field(ge=0)] = 0  # to generate; 0: one call without a cache
    pieces: Annotated[int, Field(ge=1)] = 1  # calls with a cache that the prompt is cut into
    gradients: bool = False  # whether they could be computed, as in training
    cache: Literal["static"] | None = None  # None: the library's default
    attention: str | None = None  # implementation; None: the library's choice
    package: str | None = None  # that the implementation is of
    otherwise: str | None = None  # the implementation where the package is not installed
    loads: tuple[Literal["nf4", "int8", "bf16"], ...] = ("nf4", "int8", "bf16")
    devices: tuple[Device, ...] = ("cpu", "cuda")

    @property
    def implementation(self) -> str | None:
        """Of attention, with what is installed; None: the library's choice."""
        missing = self.package is not None and find_spec(self.package) is None
        return self.otherwise if missing else self.attention

    @property
    def narrow(self) -> bool:
        """Whether the narrow models, which are on the CPU, run it, too."""
        return "cpu" in self.devices


def read_runs(path: Path = RUNS) -> dict[str, Run]:
    """All runs by id, in the file's order; DataError names the table and the key."""
    return {
        name: parse(Run, {**table, "id": name}, path, name)
        for name, table in read_tables(path).items()
    }


@cache
def runs() -> dict[str, Run]:
    """The project's own runs, read once."""
    return read_runs()

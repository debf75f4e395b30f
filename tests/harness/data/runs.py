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
    cache: Literal["static"] | None = None  # None: the library's default
    attention: str | None = None  # implementation; None: the library's choice
    package: str | None = None  # left out where it is not installed
    loads: tuple[Literal["nf4", "int8", "bf16"], ...] = ("nf4", "int8", "bf16")
    devices: tuple[Device, ...] = ("cpu", "cuda")

    @property
    def narrow(self) -> bool:
        """Whether the narrow models of the CPU run it, too."""
        return "cpu" in self.devices and self.tokens <= Run.tokens


def read_runs(path: Path = RUNS) -> dict[str, Run]:
    """All runs by id, in the file's order; DataError names the table and the key."""
    return {
        name: parse(Run, {**table, "id": name}, path, name)
        for name, table in read_tables(path).items()
    }


@cache
def runs() -> dict[str, Run]:
    """The project's own runs whose packages are installed, read once."""
    everything = read_runs()
    return {
        name: run for name, run in everything.items() if not run.package or find_spec(run.package)
    }

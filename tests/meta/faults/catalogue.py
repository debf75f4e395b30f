"""The catalogue of planted faults: what `fixtures/faults/*.toml` says of each."""

from dataclasses import field
from functools import cache
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field
from pydantic.dataclasses import dataclass

from tests.harness.data.schema import STRICT, Comment, Slug, parse, read_tables
from tests.harness.errors import DataError
from tests.harness.files import FIXTURES

FAULTS = FIXTURES / "faults"

SNAPSHOTS, HASHES = "snapshots", "test_files_match_pinned_hashes"


MACHINERY = "machinery"

APART = (MACHINERY, "latency")  # areas whose faults are planted in a copy of the project


QUANTIZED = (
    "adapters",
    "forward",
    "generation",
    "quantization",
)  # areas whose faults only a loaded model shows

SERVING = "serving"  # the area of what engines make of a model


Operation = Annotated[
    str, Field(pattern=r"^(set|null|delete|insert|swap|replace|write|append|remove)$")
]


Link = Annotated[str, Field(pattern=r"^(own|https://github\.com/[\w./-]+/(issues|pull)/\d+)$")]


Test = Annotated[str, Field(pattern=r"^test_[a-z0-9_]+$")]


@dataclass(frozen=True, config=STRICT)
class Edit:
    """One change of a file: of the JSON value at `path`, or of its whole text without a path.

    set, insert (before a list's place), write (the file) and append (to it) take a value;
    replace [old, new] text; swap two keys or places of what stands at the path; null, delete and
    remove (the file) none.
    """

    file: str
    op: Operation
    path: tuple[str | int, ...] = ()
    value: Any = None


@dataclass(frozen=True, config=STRICT)
class Fault:
    """A planted fault and what must be said of it.

    Planted are `edits` of a copy of the model's folder (in an area of APART: of the project),
    or the function `patch` in the running libraries. The run must be red in `red`, a test of a
    contract, whose first line begins with the model and contains `says`, and in no area but
    `areas`. In an area of APART `says` begins a line of the output, and `red` is left out.
    """

    id: Slug
    area: Slug
    stands_for: Comment
    says: Annotated[str, Field(min_length=10)]
    model: str = "phi3"
    red: Test | None = None
    areas: tuple[Slug, ...] = ()
    link: Link = "own"
    edits: tuple[Edit, ...] = ()
    patch: str | None = None
    given: dict[str, Any] = field(default_factory=dict)  # its arguments
    trained: bool = False  # whether a model is loaded as it is, and not a small one
    beside: tuple[str, ...] = ()  # further models of the run
    options: tuple[str, ...] = ()  # of pytest
    code: int = 1  # how the run must end


def read_area(path: Path) -> list[Fault]:
    """The faults of one file, whose name is their area; DataError names file and table."""
    return [
        parse(Fault, {**table, "id": name, "area": path.stem}, path, name)
        for name, table in read_tables(path).items()
    ]


def read_catalogue(folder: Path = FAULTS) -> dict[str, Fault]:
    """All faults by id; DataError if there are none, or if an id stands in two files."""
    catalogue: dict[str, Fault] = {}
    for path in sorted(folder.glob("*.toml")):
        for fault in read_area(path):
            if catalogue.setdefault(fault.id, fault) is not fault:
                raise DataError(f"{folder.name}/{path.name}: [{fault.id}] stands twice")
    if not catalogue:
        raise DataError(f"{folder.name}/: there is no fault")
    return catalogue


@cache
def catalogue() -> dict[str, Fault]:
    """The project's own catalogue, read once."""
    return read_catalogue()

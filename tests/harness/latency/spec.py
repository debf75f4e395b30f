"""What the benchmarks measure, and the rule that calls a change one: `fixtures/benchmarks.toml`."""

from dataclasses import field
from functools import cache
from pathlib import Path
from typing import Annotated, NamedTuple

from pydantic import Field
from pydantic.dataclasses import dataclass

from ..data.registry import Device
from ..data.schema import STRICT, parse, read_tables
from ..errors import DataError
from ..files import FIXTURES
from ..memory.footprint import Load

SPEC_FILE = FIXTURES / "benchmarks.toml"
Count = Annotated[int, Field(ge=1)]


@dataclass(frozen=True, config=STRICT)
class Rule:
    """When two recordings differ, see `statistics.py`, or two environments, see `sequential.py`."""

    processes: Count
    confidence: Annotated[float, Field(gt=0.5, lt=1)]
    margin: Annotated[float, Field(gt=0, lt=1)]
    looks: tuple[Annotated[int, Field(ge=2)], ...]  # numbers of pairs of processes, ascending
    layout: Annotated[float, Field(gt=0, lt=0.1)]  # how unlike two processes of one code are


@dataclass(frozen=True, config=STRICT)
class Benchmark:
    """One thing that is timed. A tokenizer's has no loads: it runs on the CPU, for every model.

    `everyday` ones answer whether the task became slower, on the first load and batch.
    """

    name: str
    title: str
    rounds: dict[Device, Count]
    warmup_rounds: Annotated[int, Field(ge=0)]
    loads: dict[Device, tuple[Load, ...]] = field(default_factory=dict)
    batches: tuple[Count, ...] = (1,)
    prompt_tokens: dict[Device, Count] = field(default_factory=dict)
    new_tokens: Count = 1
    layers: dict[Device, Count] = field(default_factory=dict)  # of the model; default: all
    everyday: bool = False


class Spec(NamedTuple):
    """The file's content; benchmarks by name."""

    rule: Rule
    benchmarks: dict[str, Benchmark]


@cache
def read_spec(path: Path = SPEC_FILE) -> Spec:
    """Read a file of benchmarks; DataError names table and key."""
    tables, short_path = read_tables(path), f"{path.parent.name}/{path.name}"
    if "rule" not in tables:
        raise DataError(f"{short_path}: [rule] is missing")
    rule = parse(Rule, tables.pop("rule"), path, "rule")
    benchmarks = {
        name: parse(Benchmark, {**table, "name": name}, path, name)
        for name, table in tables.items()
    }
    for name, benchmark in benchmarks.items():
        if without_rounds := set(benchmark.loads) - set(benchmark.rounds):
            raise DataError(f"{short_path}: [{name}] rounds: no number for {without_rounds.pop()}")
    return Spec(rule, benchmarks)


def benchmark_of(test: str) -> Benchmark:
    """The entry of a test by its function's name; DataError if there is none."""
    name = test.removeprefix("test_")
    if name not in read_spec().benchmarks:
        raise DataError(f"fixtures/{SPEC_FILE.name}: [{name}] is missing: {test} measures it")
    return read_spec().benchmarks[name]

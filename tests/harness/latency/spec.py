"""What the benchmarks measure, and the rule that calls a change one: `fixtures/benchmarks.toml`."""

from dataclasses import field
from functools import cache
from pathlib import Path
from typing import Annotated

from pydantic import Field
from pydantic.dataclasses import dataclass

from ..memory import Load
from ..models import FIXTURES, STRICT, DataError, Device, parse, read_tables

LATENCY = FIXTURES / "benchmarks.toml"
Count = Annotated[int, Field(ge=1)]


@dataclass(frozen=True, config=STRICT)
class Rule:
    """When two recordings differ; see `rule.py`."""

    processes: Count
    confidence: Annotated[float, Field(gt=0.5, lt=1)]
    margin: Annotated[float, Field(gt=0, lt=1)]


@dataclass(frozen=True, config=STRICT)
class Benchmark:
    """One thing that is timed. A tokenizer's has no loads: it runs on the CPU, for every model."""

    name: str
    title: str
    rounds: dict[Device, Count]
    warmup: Count
    loads: dict[Device, tuple[Load, ...]] = field(default_factory=dict)
    batches: tuple[Count, ...] = (1,)
    prompt_tokens: dict[Device, Count] = field(default_factory=dict)
    new_tokens: Count = 1


def read_latency(path: Path = LATENCY) -> tuple[Rule, dict[str, Benchmark]]:
    """The rule, and all benchmarks by name; DataError names table and key."""
    tables, place = read_tables(path), f"{path.parent.name}/{path.name}"
    if "rule" not in tables:
        raise DataError(f"{place}: [rule] is missing")
    rule = parse(Rule, tables.pop("rule"), path, "rule")
    found = {
        name: parse(Benchmark, {**table, "name": name}, path, name)
        for name, table in tables.items()
    }
    for name, benchmark in found.items():
        if uncounted := set(benchmark.loads) - set(benchmark.rounds):
            raise DataError(f"{place}: [{name}] rounds: no number for {uncounted.pop()}")
    return rule, found


@cache
def latency() -> tuple[Rule, dict[str, Benchmark]]:
    """The project's own, read once."""
    return read_latency()


def benchmark_of(test: str) -> Benchmark:
    """The entry of a test by its function's name; DataError if there is none."""
    name = test.removeprefix("test_")
    if name not in latency()[1]:
        raise DataError(f"fixtures/benchmarks.toml: [{name}] is missing: {test} measures it")
    return latency()[1][name]

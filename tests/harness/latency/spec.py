"""What the benchmarks measure, and the rule that calls a change one: `fixtures/benchmarks.toml`."""

from collections.abc import Sequence
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
Nodes = dict[str, str]  # node id by the name of its test, parameters and all


@dataclass(frozen=True, config=STRICT)
class Rule:
    """When two recordings differ, see `statistics.py`, or two environments, see `turns`."""

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


def _parameters(name: str) -> tuple[str, list[str]]:
    """`test_predict[smollm2-cpu-nf4]` in parts."""
    test, _, rest = name.removesuffix("]").partition("[")
    return test, rest.split("-")


def _is_everyday(name: str, device: Device) -> bool:
    """Whether a benchmark is one of the task's, on the first of its loads and batches."""
    test, parameters = _parameters(name)
    spec = benchmark_of(test)
    if not spec.everyday:
        return False
    if not spec.loads:
        return True
    first = [spec.loads[device][0], *map(str, spec.batches[:1])]
    return parameters[2:] == first[: len(parameters) - 2]


def selected(node_ids: Sequence[str], device: Device, everyday: bool) -> Nodes:
    """The benchmarks of a device among those collected.

    `everyday` leaves those of the task, and of the tokenizers those of models that predict here.
    """
    nodes = {node.rpartition("::")[2]: node for node in node_ids}
    loaded = {name for name in nodes if len(_parameters(name)[1]) > 1}
    here = {name for name in loaded if _parameters(name)[1][1] == device}
    kept = [name for name in nodes if name in here or name not in loaded]
    if everyday:
        models = {_parameters(name)[1][0] for name in here}
        kept = [
            name
            for name in kept
            if _is_everyday(name, device) and (not models or _parameters(name)[1][0] in models)
        ]
    return {name: nodes[name] for name in kept}

"""The ledger, `fixtures/evidence.toml`: how many checks a complete run makes, contract by contract.

A table `subjects.KIND` says what the models have of a kind: the cases of each topic, or just that
they have it. A model that is loaded is named with its device. Below a test file's table each
contract says how many checks it makes of what:

`{ text = 2 }` two of each subject of that kind; `{ chat = ["phi3"] }` one of each subject of these
models; `{ files = { phi3 = 3 } }` numbers of its own, which topics may divide.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..data.registry import registry
from ..data.schema import read_tables
from ..errors import DataError
from ..files import FIXTURES
from ..plugins.collection import Cell

LEDGER = FIXTURES / "evidence.toml"
UPDATE = "pytest --evidence-update"
_HEAD = f"""\
# What a complete run must prove: how many checks each contract makes, and of what.
# `{UPDATE}` writes this file, and `--gate` counts every run against it. Review its
# diff like that of a snapshot: a number that shrinks is a check that nobody makes any more.
# tests/harness/gate/ledger.py says how to read it.
"""
_Counts = dict[str, dict[str, int]]  # by model, then by topic, which is empty if there are none
_DEVICES = ("cpu", "cuda")


def key_of(model: str) -> str:
    """The key in a cell's model, which may name a device."""
    key, _, device = model.rpartition("-")
    return key if device in _DEVICES else model


def device_of(model: str) -> str:
    """The device that a cell's checks run on."""
    device = model.rpartition("-")[2]
    return device if device in _DEVICES else "cpu"


def read_ledger(path: Path = LEDGER) -> Counter[Cell]:
    """The number of checks by cell; DataError names what cannot be read, and how to renew it."""
    try:
        return Counter(dict(_cells(read_tables(path))))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        place = f"{path.parent.name}/{path.name}"
        reason = f"{type(error).__name__}: {error}"
        raise DataError(f"{place}: {reason}: not as it was written; renew it: {UPDATE}") from None


def _cells(tables: dict[str, Any]) -> Iterator[tuple[Cell, int]]:
    subjects = {kind: _read_subjects(table) for kind, table in tables.pop("subjects").items()}
    for folder, files in tables.items():
        for name, contracts in files.items():
            for contract, entry in contracts.items():
                for kind, value in entry.items():
                    for model, topics in _read(value, subjects[kind]).items():
                        for topic, number in topics.items():
                            file = f"{folder}/{name}.py"
                            yield Cell(file, contract, model, kind, topic), number


def _read_subjects(table: dict[str, Any]) -> _Counts:
    counts: _Counts = {model: {} for model in table.pop("models")}
    for topic, numbers in table.items():
        for model in counts if isinstance(numbers, int) else numbers:
            counts[model][topic] = numbers if isinstance(numbers, int) else numbers[model]
    return counts if table else {model: {"": 1} for model in counts}


def _read(value: Any, subjects: _Counts) -> _Counts:
    """What stands behind a kind in a contract's line."""
    if isinstance(value, int):
        return {m: {topic: value * n for topic, n in own.items()} for m, own in subjects.items()}
    if isinstance(value, list):
        return {model: subjects[model] for model in value}
    return {m: own if isinstance(own, dict) else {"": int(own)} for m, own in value.items()}


def format_ledger(cells: Mapping[Cell, int]) -> str:
    """The file's text; the same for the same cells in any order."""
    contracts: dict[tuple[str, str], dict[str, _Counts]] = {}
    for (file, contract, model, kind, topic), number in sorted(cells.items(), key=_order):
        counts = contracts.setdefault((file, contract), {}).setdefault(kind, {})
        counts.setdefault(model, {})[topic] = number
    subjects = _subjects(list(contracts.values()))
    lines = [_HEAD.rstrip()]
    for kind, counts in sorted(subjects.items()):
        lines += ["", f"[subjects.{kind}]", *_written_subjects(counts)]
    last = ""
    for (file, contract), kinds in contracts.items():
        if file != last:
            lines += ["", f"[{file.removesuffix('.py').replace('/', '.')}]"]
            last = file
        parts = [f"{kind} = {_written(own, subjects[kind])}" for kind, own in kinds.items()]
        lines.append(f"{contract} = {{ {', '.join(parts)} }}")
    return "\n".join([*lines, ""])


def _order(entry: tuple[Cell, int]) -> tuple[str, str, str, int, str, str]:
    """Models as the registry has them, all else by name."""
    file, contract, model, kind, topic = entry[0]
    keys = list(registry())
    key = key_of(model)
    return file, contract, kind, keys.index(key) if key in keys else -1, model, topic


def _subjects(contracts: list[dict[str, _Counts]]) -> dict[str, _Counts]:
    """Of each kind and model the largest set of topics, with the smallest numbers that occur."""
    found: dict[str, _Counts] = {}
    for kinds in contracts:
        for kind, counts in kinds.items():
            for model, topics in counts.items():
                own = topics if any(topics) else {"": 1}
                best = found.setdefault(kind, {}).setdefault(model, own)
                if (-len(own), sum(own.values())) < (-len(best), sum(best.values())):
                    found[kind][model] = own
    return found


def _written_subjects(counts: _Counts) -> Iterator[str]:
    yield f"models = [{', '.join(map(_quoted, counts))}]"
    for topic in sorted({topic for own in counts.values() for topic in own if topic}):
        numbers = {model: own[topic] for model, own in counts.items() if topic in own}
        (first, *others) = set(numbers.values())
        equal = not others and len(numbers) == len(counts)
        yield f"{_quoted(topic)} = {first if equal else _table(numbers)}"


def _written(counts: _Counts, subjects: _Counts) -> str:
    """What stands behind a kind, as short as it can be."""
    times = sum(map(sum, map(dict.values, counts.values())))
    whole = sum(sum(subjects[model].values()) for model in counts)
    factor = times // whole
    if counts == {m: {t: factor * n for t, n in subjects[m].items()} for m in counts}:
        if len(counts) == len(subjects):
            return str(factor)
        if factor == 1:
            return f"[{', '.join(map(_quoted, counts))}]"
    plain = all(list(own) == [""] for own in counts.values())
    return _table({model: own[""] if plain else _table(own) for model, own in counts.items()})


def _quoted(text: str) -> str:
    return f'"{text}"'


def _table(values: Mapping[str, object]) -> str:
    bare = [name if name.replace("-", "_").isidentifier() else _quoted(name) for name in values]
    parts = [f"{name} = {value}" for name, value in zip(bare, values.values(), strict=True)]
    return f"{{ {', '.join(parts)} }}"

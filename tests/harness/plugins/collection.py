"""What pytest collected, before options or plugins took tests away.

The gate counts it against the ledger. Recordings and known failures of no test are looked for in
it, so that `-m` and `-k` hide none.
"""

import json
from collections import Counter
from collections.abc import Generator
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from ..data.cases import Case, ChatCase, TextCase
from ..data.registry import Model
from ..data.runs import Run
from ..engines.endpoint import Endpoint
from ..engines.served import Served
from ..files import TESTS
from ..tokenizer.loaded import LoadedTokenizer
from .parametrize import is_empty, name_of

SNAPSHOT = "snapshot_of"  # the mark of a test that compares with snapshots; its argument: the kind
_SENT = "conformance_collection"  # what a worker of xdist hands over at its end


class Cell(NamedTuple):
    """Checks that are counted together: those of a contract, a model and a topic."""

    file: str  # of the test, below `tests`: conformance/test_chat.py
    contract: str  # the test function's name
    model: str  # its key; `key-device` where it is loaded; empty for a test of no model
    kind: str  # the argument that has topics: text, chat, other...; else files, loaded, trained
    topic: str = ""  # texts/digits, conversations/turns; the other model's key; a file's name


@dataclass(frozen=True)
class Check:
    """What a test checks: a case of a model, in an area of one of the folders under `tests`."""

    model: str  # its key
    area: str  # the test file's name without `test_`
    case: str  # what the test is parametrized with beside the model
    folder: str  # conformance, quantized or benchmarks
    snapshot: str = ""  # kind of the snapshots it compares with


@dataclass(eq=False)  # pytest keeps plugins in sets
class Collected:
    """What was collected in this process; of a distributed run what a worker collected."""

    cells: list[tuple[Cell, int]] = field(default_factory=list)
    modules: list[str] = field(default_factory=list)  # files whose tests are known
    recorded: list[list[str]] = field(default_factory=list)  # folder, model, kind, case
    dead: list[str] = field(default_factory=list)  # lines about known failures of no test
    deselected: list[tuple[Cell, int]] = field(default_factory=list)  # taken away, as pytest asks
    removed: list[str] = field(default_factory=list)  # node ids that went without a word

    def knows(self, folder: Path) -> bool:
        """Whether the tests of all files of a folder are known."""
        return {file_of(path) for path in folder.glob("test_*.py")} <= set(self.modules)


@dataclass(eq=False)
class Recorder:
    """Fills a `Collected` while pytest collects."""

    collection: Collected = field(default_factory=Collected)
    nodes: dict[str, Cell] = field(default_factory=dict)
    deselected: set[str] = field(default_factory=set)

    @pytest.hookimpl(wrapper=True)
    def pytest_make_collect_report(
        self, collector: pytest.Collector
    ) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
        """Note a module whose tests are known now."""
        report = yield
        if isinstance(collector, pytest.Module) and report.passed:
            self.collection.modules.append(file_of(collector.path))
        return report

    @pytest.hookimpl(wrapper=True)
    def pytest_pycollect_makeitem(self) -> Generator[None, Any, Any]:
        """Leave out tests that no chosen model is concerned with, before pytest counts them."""
        made = yield
        return [one for one in made if not is_empty(one)] if isinstance(made, list) else made

    def pytest_itemcollected(self, item: pytest.Item) -> None:
        """Note a test."""
        item.stash[CELL] = self.nodes[item.nodeid] = cell_of(item)
        if check := check_of(item):
            item.stash[CHECK] = check
            if check.snapshot:
                names = [check.folder, check.model, check.snapshot, check.case]
                self.collection.recorded.append(names)

    def pytest_deselected(self, items: list[pytest.Item]) -> None:
        """Note what was taken away as pytest wants it."""
        self.deselected |= {item.nodeid for item in items}

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Sum up; a worker of xdist has it sent to the controller."""
        kept = {item.nodeid for item in session.items}
        gone = [node for node in self.nodes if node not in kept]
        said = Counter(self.nodes[node] for node in gone if node in self.deselected)
        self.collection.cells = list(Counter(self.nodes.values()).items())
        self.collection.deselected = list(said.items())
        self.collection.removed = [node for node in gone if node not in self.deselected]
        if hasattr(session.config, "workeroutput"):
            session.config.workeroutput[_SENT] = json.dumps(asdict(self.collection))


CELL = pytest.StashKey[Cell]()  # of an item
CHECK = pytest.StashKey[Check]()  # of an item that checks a model


def received(node: Any) -> Collected | None:
    """What a worker that ended has collected; None if it died before it could say so."""
    text = getattr(node, "workeroutput", {}).get(_SENT)
    if text is None:
        return None
    collection = Collected(**json.loads(text))
    for cells in (collection.cells, collection.deselected):
        cells[:] = [(Cell(*cell), number) for cell, number in cells]
    return collection


@cache
def file_of(path: Path) -> str:
    """A file below `tests` as cells name it; any other by its whole path."""
    path = path.resolve()  # a checkout may be reached by a link
    return path.relative_to(TESTS).as_posix() if path.is_relative_to(TESTS) else str(path)


def cell_of(item: pytest.Item) -> Cell:
    """Where the ledger counts a test."""
    model, kind, topic, variant = "", "", "", ""
    call = getattr(item, "callspec", None)
    for name, value in call.params.items() if call else ():
        if isinstance(value, LoadedTokenizer) and not model:
            model, kind = value.key, kind or "files"
        elif isinstance(value, LoadedTokenizer):
            kind, topic = name, value.key
        elif isinstance(value, Served | Endpoint):
            model, kind, variant = value.key, "served", value.variant
        elif name == "placement":
            model, kind = "-".join(value[:2]), kind or "loaded"
        elif isinstance(value, Model):
            model, kind = value.key, kind or "narrow"
        elif isinstance(value, Run):
            kind, topic = name, value.id
        elif isinstance(value, Case):
            folders = {TextCase: "texts/", ChatCase: "conversations/"}
            kind, topic = name, f"{folders.get(type(value), '')}{value.topic}"
        elif name in ("small_file", "metadata_key", "sampled", "sent"):
            kind, topic = name, value
    if variant:
        kind = f"{variant}_{kind}"
    if item.get_closest_marker("trained"):  # `--weights dummy` leaves these out
        kind, topic = "trained", ""
    if item.get_closest_marker("gpu") and not model.endswith("-cuda"):
        model, kind = f"{model}-cuda", f"gpu_{kind or 'no_model'}"
    contract = getattr(item, "originalname", item.name)
    return Cell(file_of(item.path), contract, model, kind or "no_model", topic)


def check_of(item: pytest.Item) -> Check | None:
    """What a test checks, from what it is parametrized with; None if no model is among that."""
    call = getattr(item, "callspec", None)
    names = [_names(name, value) for name, value in call.params.items()] if call else []
    models = [model for model, _ in names if model]
    if not models:
        return None
    (model, *others) = models
    case = "-".join([*others, *(rest for _, rest in names if rest)])
    mark = item.get_closest_marker(SNAPSHOT)
    area = item.path.stem.removeprefix("test_")
    for value in call.params.values() if call else ():
        area = value.column if isinstance(value, Served | Endpoint) else area
    folder = item.path.parent.name
    return Check(model, area, case, folder, mark.args[0] if mark else "")


def _names(argument: str, value: Any) -> tuple[str, str]:
    """Model and case named by a parameter; either may be empty."""
    if isinstance(value, LoadedTokenizer | Model):
        return value.key, ""
    if isinstance(value, Served | Endpoint):
        return value.key, value.variant
    if argument == "placement":
        key, *rest = value
        return key, "-".join(rest)
    return "", name_of(value)

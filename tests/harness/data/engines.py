"""Engines that serve models: how each is asked, and where it differs: `fixtures/engines.toml`."""

from collections.abc import Collection
from dataclasses import field, replace
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from ..errors import DataError
from ..files import FIXTURES
from ..text import allowed_values
from .registry import ModelKey, Sha256
from .schema import STRICT, Comment, Slug, parse, read_tables
from .upstream_issues import UpstreamIssue, Versions

ENGINES = FIXTURES / "engines.toml"
DEFAULT = "llama_cpp"  # the engine that runs in every run


RouteName = Literal[
    "ids",
    "pieces",
    "prompt",
    "prompt_ids",
    "count",
    "usage",
    "text",
    "settings",
]


@dataclass(frozen=True, config=STRICT)
class Route:
    """A request: our name of each field to the engine's, and where the answer stands.

    `a.b` is the key b in the object a. Without fields the request is a GET.
    """

    path: Annotated[str, Field(pattern=r"^/")]
    answer: str
    fields: dict[str, str] = field(default_factory=dict)
    given: dict[str, Any] = field(default_factory=dict)  # sent as it is
    absent: dict[str, float] = field(default_factory=dict)  # what a key means that is not there


@dataclass(frozen=True, config=STRICT)
class EngineFile:
    """What a model's GGUF says beside what the tokenizer's folder does, as its converter has it."""

    name: str  # `general.name`, which llama.cpp takes rules from
    model: Literal["gpt2", "llama"]  # the kind of vocabulary: byte-level BPE or SentencePiece
    pre: str  # which of the engine's own pre-tokenizers cuts the text
    sha256: Sha256  # of the file that is built from the pinned folder


@dataclass(frozen=True, config=STRICT)
class Differing:
    """Tests that a difference breaks: of these models as test names have them, these cases.

    `*` stands for anything.
    """

    tests: tuple[Annotated[str, Field(pattern=r"^test_")], ...]
    models: tuple[str, ...]
    cases: tuple[str, ...] = ()


@dataclass(frozen=True, config=STRICT)
class Difference:
    """Where an engine is known to differ, under these versions of its package."""

    id: Slug
    reason: Comment
    link: Annotated[str, Field(pattern=r"^https://")]
    breaks: Annotated[tuple[Differing, ...], Field(min_length=1)]
    versions: Versions = ">=0"

    def nodes(self, variant: str = "") -> tuple[str, ...]:
        """The names of the tests that must fail."""
        return tuple(
            f"{test}[{'-'.join(filter(None, (model, variant, case)))}]"
            for one in self.breaks
            for test in one.tests
            for model in one.models
            for case in one.cases or ("",)
        )


@dataclass(frozen=True, config=STRICT)
class Apart:
    """The environment of its own that an engine runs in, and how its server is started there.

    In commands and values `{home}` is the environment's folder, `{folder}` the tokenizer's,
    `{port}` one that is free.
    """

    version: str  # of the package, which is pinned
    command: Annotated[tuple[str, ...], Field(min_length=1)]
    models: tuple[ModelKey, ...]  # that it is asked for
    excludes: tuple[str, ...] = ()  # packages that it asks for and that are not installed
    torch_backend: str = ""  # where uv takes torch from
    alias: str = ""  # NAME=={version}: what the package must be known as beside its own name
    variables: dict[str, str] = field(default_factory=dict)  # of its process
    options: dict[ModelKey, tuple[str, ...]] = field(default_factory=dict)  # of a model
    seconds: float = 600.0  # that it may take until it answers
    routes: dict[RouteName, Route] = field(default_factory=dict)  # that it has instead
    lacks: tuple[RouteName, ...] = ()  # that need weights, which are not there
    costs: str = ""  # what the environment takes, for those who make it


@dataclass(frozen=True, config=STRICT)
class Engine:
    """An engine; `key` is its table's name."""

    key: Slug
    title: str  # as messages and tables call it
    recognised_by: Route  # what only this engine answers with a value
    routes: dict[RouteName, Route]
    package: str = ""  # whose version is the engine's; empty if it does not run here
    apart: Apart | None = None  # of an engine that does not run in this process
    options: dict[str, Any] = field(default_factory=dict)  # that it is started with
    renamed_options: dict[str, str] = field(default_factory=dict)  # in older versions: their name
    files: dict[ModelKey, EngineFile] = field(default_factory=dict)
    adds_bos: bool = False  # whether the prompt it shows lacks the BOS that its ids begin with
    wants_api_form: bool = False  # whether it refuses calls without ids, or arguments as objects
    writes_today: bool = False  # whether it fills the template's date with today's
    differences: tuple[Difference, ...] = ()

    @property
    def variant(self) -> str:
        """What test names call it beside the model; the engine of every run has none."""
        return self.key if self.apart else ""

    def as_started(self) -> "Engine":
        """The engine with the routes that it has where we start it."""
        if self.apart is None:
            return self
        routes = {**self.routes, **self.apart.routes}
        kept = {name: routes[name] for name in routes if name not in self.apart.lacks}
        return replace(self, routes=kept)

    def as_issues(self, variant: str = "") -> list[UpstreamIssue]:
        """Its differences as issues, whose tests must fail; a variant is a part of their names."""
        return [
            UpstreamIssue(
                id=f"{self.key}.{one.id}",
                link=one.link,
                package=self.package,
                versions=one.versions,
                reason=one.reason,
                nodes=one.nodes(variant),
                suite="serving",
            )
            for one in self.differences
        ]


def read_engines(path: Path = ENGINES) -> dict[str, Engine]:
    """All engines by key; DataError names file, engine and key."""
    return {
        key: parse(Engine, {**table, "key": key}, path, key)
        for key, table in read_tables(path).items()
    }


@cache
def engines() -> dict[str, Engine]:
    """The project's own engines, read once."""
    return read_engines()


def runnable(chosen: Collection[str] = ()) -> list[Engine]:
    """The engines that a run starts, as it starts them: that of every run, and the chosen ones."""
    started = [engine for engine in engines().values() if engine.key in (DEFAULT, *chosen)]
    return [engine.as_started() for engine in started]


def check_engines(keys: Collection[str]) -> None:
    """DataError for a key of an engine that cannot be started beside that of every run."""
    for key in keys:
        if key not in startable():
            raise DataError(f"--engine {key or repr(key)}: {allowed_values(key, startable())}")


def startable() -> list[str]:
    """The keys of engines that `--engine` starts, from environments of their own."""
    return [engine.key for engine in apart_by_package().values()]


def apart_by_package() -> dict[str, Engine]:
    """The engines that have environments of their own, by the package that is installed there."""
    return {engine.package: engine for engine in engines().values() if engine.apart}


def known_differences(chosen: Collection[str] = ()) -> list[UpstreamIssue]:
    """What engines of a run are known to do otherwise, as issues that tests/serving must show."""
    return [issue for engine in runnable(chosen) for issue in engine.as_issues(engine.variant)]

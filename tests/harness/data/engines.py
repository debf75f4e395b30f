"""Engines that serve models: how each is asked, and where it differs: `fixtures/engines.toml`."""

from dataclasses import field
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from ..files import FIXTURES
from .registry import ModelKey, Sha256
from .schema import STRICT, Comment, Slug, parse, read_tables
from .upstream_issues import UpstreamIssue, Versions

ENGINES = FIXTURES / "engines.toml"
DEFAULT = "llama_cpp"  # the engine that runs in every run


@dataclass(frozen=True, config=STRICT)
class Route:
    """A request: our name of each field to the engine's, and where the answer stands.

    `a.b` is the key b in the object a. Without fields the request is a GET.
    """

    path: Annotated[str, Field(pattern=r"^/")]
    answer: str
    fields: dict[str, str] = field(default_factory=dict)
    given: dict[str, Any] = field(default_factory=dict)  # sent as it is


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

    def nodes(self) -> tuple[str, ...]:
        """The names of the tests that must fail."""
        return tuple(
            f"{test}[{'-'.join(filter(None, (model, case)))}]"
            for one in self.breaks
            for test in one.tests
            for model in one.models
            for case in one.cases or ("",)
        )


RouteName = Literal["ids", "pieces", "prompt", "prompt_ids", "count", "usage", "text", "settings"]


@dataclass(frozen=True, config=STRICT)
class Engine:
    """An engine; `key` is its table's name."""

    key: Slug
    title: str  # as messages and tables call it
    recognised_by: Route  # what only this engine answers with a value
    routes: dict[RouteName, Route]
    package: str = ""  # whose version is the engine's; empty if it does not run here
    options: dict[str, Any] = field(default_factory=dict)  # that it is started with
    renamed_options: dict[str, str] = field(default_factory=dict)  # in older versions: their name
    files: dict[ModelKey, EngineFile] = field(default_factory=dict)
    adds_bos: bool = False  # whether the prompt it shows lacks the BOS that its ids begin with
    date: str = ""  # the template's argument that the engine fills with today's date
    differences: tuple[Difference, ...] = ()

    def as_issues(self) -> list[UpstreamIssue]:
        """Its differences as issues, whose tests must fail."""
        return [
            UpstreamIssue(
                id=one.id,
                link=one.link,
                package=self.package,
                versions=one.versions,
                reason=one.reason,
                nodes=one.nodes(),
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


def known_differences() -> list[UpstreamIssue]:
    """What the engines are known to do otherwise, as issues that tests/serving must show."""
    return [issue for engine in engines().values() for issue in engine.as_issues()]

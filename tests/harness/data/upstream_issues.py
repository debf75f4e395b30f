"""What upstream is known to break or to have changed: `fixtures/upstream_issues.toml`."""

import re
from collections.abc import Mapping
from dataclasses import dataclass as plain
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Literal

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from pydantic import AfterValidator, Field
from pydantic.dataclasses import dataclass

from ..files import FIXTURES
from .schema import STRICT, parse, read_tables

UPSTREAM_ISSUES = FIXTURES / "upstream_issues.toml"
# What can differ between two versions; `saved files` are those that one saved and another loads.
Kind = Literal[
    "load failure",
    "ids",
    "labels",
    "rendered text",
    "offsets",
    "decode",
    "calls",
    "settings",
    "return type",
    "special tokens",
    "pipeline",
    "load keys",
    "memory",
    "generation",
    "forward",
    "files written",
    "errors and warnings",
    "saved files",
]


def check_specifier(versions: str) -> str:
    """The specifier of versions; ValueError for what is none."""
    try:
        SpecifierSet(versions)
    except InvalidSpecifier:
        example = ">=5.0.0,<5.8"
        raise ValueError(
            f"expected a version specifier such as {example!r}, got {versions!r}"
        ) from None
    return versions


Versions = Annotated[str, Field(min_length=1), AfterValidator(check_specifier)]


@cache
def _installed(package: str) -> str | None:
    """The package's version, looked up once; None if it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


@dataclass(frozen=True, config=STRICT)
class Change:
    """A difference between a version inside the issue's `versions` and one outside.

    `*` stands for anything. `left` and `right` are regular expressions to be found in the JSON of
    the older and the newer value, so that another change of the same call is not taken for this.
    """

    kind: Kind
    call: str = "*"
    models: tuple[str, ...] = ("*",)
    left: re.Pattern[str] = re.compile("")
    right: re.Pattern[str] = re.compile("")


@dataclass(frozen=True, config=STRICT)
class UpstreamIssue:
    """An issue or pull request, the versions that behave so, and what this breaks or changes.

    `nodes` are tests that must fail under these versions (`*` stands for anything), `changes` the
    differences that `python -m tests.tools.drift` explains by it.
    """

    id: str
    link: Annotated[str, Field(pattern=r"^https://")]
    package: str
    versions: Versions
    reason: Annotated[str, Field(min_length=1)]
    nodes: Annotated[tuple[Annotated[str, Field(pattern=r"^test_")], ...], Field(min_length=1)] = ()
    changes: Annotated[tuple[Change, ...], Field(min_length=1)] = ()
    # The folder that the tests are in.
    suite: Literal["conformance", "quantized", "serving"] = "conformance"

    def __post_init__(self) -> None:
        """ValueError for an entry that nothing would ever use."""
        if not (self.nodes or self.changes):
            raise ValueError("expected nodes, changes or both")

    def covers(self, installed: str) -> bool:
        """Whether a version of the package is one of the named."""
        return installed in SpecifierSet(self.versions, prereleases=True)

    def applies_here(self, elsewhere: Mapping[str, str] | None = None) -> bool:
        """Whether the package is installed at one of the named versions.

        `elsewhere` are versions of packages that stand in environments of their own.
        """
        installed = (elsewhere or {}).get(self.package) or _installed(self.package)
        return installed is not None and self.covers(installed)


@plain(frozen=True)
class Pattern:
    """One node of an issue, ready to match test names."""

    issue: UpstreamIssue
    node: str
    regex: re.Pattern[str]


def read_upstream_issues(path: Path = UPSTREAM_ISSUES) -> list[UpstreamIssue]:
    """All entries in the file's order; DataError names the file, entry and key that are wrong."""
    tables = read_tables(path)
    return [parse(UpstreamIssue, {**table, "id": key}, path, key) for key, table in tables.items()]


@cache
def upstream_issues() -> tuple[UpstreamIssue, ...]:
    """The project's own entries, read once."""
    return tuple(read_upstream_issues())


def patterns(issues: list[UpstreamIssue]) -> list[Pattern]:
    """The issues' nodes, compiled; only `*` is special, since names carry brackets and dots."""
    return [
        Pattern(issue, node, re.compile(".*".join(map(re.escape, node.split("*")))))
        for issue in issues
        for node in issue.nodes
    ]

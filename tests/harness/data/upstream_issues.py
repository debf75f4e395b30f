"""Known failures: tests that a named library version breaks, as strict xfail, from data."""

import re
import tomllib
from dataclasses import dataclass as plain
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Literal

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from pydantic import Field
from pydantic.dataclasses import dataclass

from ..models import FIXTURES, STRICT, DataError, parse

KNOWN_FAILURES = FIXTURES / "known_failures.toml"
Node = Annotated[str, Field(pattern=r"^test_")]
Link = Annotated[str, Field(pattern=r"^https://")]


@dataclass(frozen=True, config=STRICT)
class KnownFailure:
    """Tests that fail under some versions of a package; `*` in a node stands for anything."""

    id: str
    nodes: Annotated[tuple[Node, ...], Field(min_length=1)]
    package: str
    versions: Annotated[str, Field(min_length=1)]
    reason: str
    link: Link
    suite: Literal["conformance", "quantized"] = "conformance"  # the folder the tests are in

    def in_force(self) -> bool:
        """Whether the installed package is of the named versions."""
        try:
            wanted = SpecifierSet(self.versions, prereleases=True)
        except InvalidSpecifier:
            raise DataError(
                f"fixtures/known_failures.toml: [{self.id}] versions: {self.versions!r} is no "
                "version specifier such as '>=5.0.0,<5.8'"
            ) from None
        try:
            return version(self.package) in wanted
        except PackageNotFoundError:
            return False


@plain(frozen=True)
class Pattern:
    """One node of an entry, ready to match test names."""

    entry: KnownFailure
    node: str
    regex: re.Pattern[str]


def read_known_failures(path: Path = KNOWN_FAILURES) -> list[KnownFailure]:
    """All entries; DataError if the file is not as it should be."""
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"fixtures/{path.name}: {error}") from None
    if loose := [key for key, table in tables.items() if not isinstance(table, dict)]:
        raise DataError(f"fixtures/{path.name}: [{loose[0]}] must be a table")
    return [parse(KnownFailure, {**table, "id": key}, path, key) for key, table in tables.items()]


def patterns(entries: list[KnownFailure]) -> list[Pattern]:
    """The entries' nodes, compiled; only `*` is special, since names carry brackets and dots."""
    return [
        Pattern(entry, node, re.compile(".*".join(map(re.escape, node.split("*")))))
        for entry in entries
        for node in entry.nodes
    ]

"""Known failures: tests that a named library version breaks, as strict xfail, from data."""

import re
import tomllib
from dataclasses import dataclass as plain
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import pytest
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from pydantic import Field
from pydantic.dataclasses import dataclass

from .models import FIXTURES, STRICT, DataError, parse
from .selection import is_complete

KNOWN_FAILURES = FIXTURES / "known_failures.toml"
Link = Annotated[str, Field(pattern=r"^https://")]


@dataclass(frozen=True, config=STRICT)
class KnownFailure:
    """Tests that fail under some versions of a package; `*` in a node stands for anything."""

    id: str
    nodes: tuple[str, ...]
    package: str
    versions: str
    reason: str
    link: Link

    def in_force(self) -> bool:
        """Whether the installed package is of the named versions."""
        try:
            wanted = SpecifierSet(self.versions, prereleases=True)
        except InvalidSpecifier:
            raise DataError(
                f"fixtures/known_failures.toml: [{self.id}] versions: {self.versions!r} is no "
                "version specifier such as '>=5.0.0,<5.8'"
            ) from None
        return version(self.package) in wanted


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
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise DataError(f"fixtures/{path.name}: {error}") from None
    return [parse(KnownFailure, {**table, "id": key}, path, key) for key, table in tables.items()]


def patterns(entries: list[KnownFailure]) -> list[Pattern]:
    """The entries' nodes, compiled; only `*` is special, since names carry brackets and dots."""
    return [
        Pattern(entry, node, re.compile(".*".join(map(re.escape, node.split("*")))))
        for entry in entries
        for node in entry.nodes
    ]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark the tests that must fail, before -k and -m take tests away."""
    try:
        known = patterns(read_known_failures())
        active = {pattern.entry.id for pattern in known if pattern.entry.in_force()}
    except DataError as error:
        raise pytest.UsageError(str(error)) from None
    unmatched = {(pattern.entry.id, pattern.node) for pattern in known}
    for item in items:
        for pattern in known:
            if not pattern.regex.fullmatch(item.name):
                continue
            unmatched.discard((pattern.entry.id, pattern.node))
            if pattern.entry.id in active:
                entry = pattern.entry
                reason = f"{entry.id}: {entry.reason} ({entry.link})"
                # Only a judgement of ours is the known failure; any other exception is news.
                mark = pytest.mark.xfail(strict=True, raises=pytest.fail.Exception, reason=reason)
                item.add_marker(mark)
    if unmatched and is_complete(config):
        key, node = min(unmatched)
        raise pytest.UsageError(
            f"fixtures/known_failures.toml: [{key}] nodes: {node!r} matches no test; "
            "remove it or mend its spelling"
        )

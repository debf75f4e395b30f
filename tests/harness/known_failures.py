"""Known failures: tests that a named library version breaks, as strict xfail, from data."""

import re
import tomllib
from dataclasses import dataclass as plain
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Literal

import pytest
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from pydantic import Field
from pydantic.dataclasses import dataclass

from .errors import Broken
from .models import FIXTURES, STRICT, DataError, parse
from .results import RESULTS
from .selection import SUITES, distributed, is_complete

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


KNOWN = pytest.StashKey[list[Pattern]]()
ACTIVE = pytest.StashKey[list[Pattern]]()  # those of the installed versions


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


def dead_lines(config: pytest.Config, names: set[str]) -> list[str]:
    """A line for each node that matches no test, of the folders that the run covers completely."""
    suites = [suite.name for suite in SUITES if is_complete(config, suite)]
    return [
        f"fixtures/known_failures.toml: [{pattern.entry.id}] nodes: {pattern.node!r} matches no "
        "test; remove it or mend its spelling"
        for pattern in config.stash[KNOWN]
        if pattern.entry.suite in suites
        and not any(pattern.regex.fullmatch(name) for name in names)
    ]


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Read the entries before anything is collected; a mistake is one line."""
    try:
        known = patterns(read_known_failures())
        active = {pattern.entry.id for pattern in known if pattern.entry.in_force()}
    except DataError as error:
        raise pytest.UsageError(str(error)) from None
    config.stash[KNOWN] = known
    config.stash[ACTIVE] = [pattern for pattern in known if pattern.entry.id in active]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark the tests that must fail, before -k and -m take tests away."""
    for item in items:
        for pattern in config.stash[ACTIVE]:
            if pattern.regex.fullmatch(item.name):
                entry = pattern.entry
                reason = f"{entry.id}: {entry.reason} ({entry.link})"
                # Only a judgement of ours is the known failure; any other exception is news.
                mark = pytest.mark.xfail(strict=True, raises=Broken, reason=reason)
                item.add_marker(mark)
    lines = dead_lines(config, {item.name for item in items})
    if lines and not distributed(config):
        raise pytest.UsageError(lines[0])


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Look for dead entries of a distributed run, whose tests are known by their reports alone."""
    config, results = session.config, session.config.stash[RESULTS]
    controller = distributed(config) and not hasattr(config, "workerinput")
    if controller and results.whole() and session.exitstatus in (0, 1):
        names = {node.partition("::")[2] for node in results.outcomes}
        results.problems += dead_lines(config, names)

"""Differences that are known upstream: `fixtures/drift_issues.toml`."""

import json
import re
import tomllib
from collections.abc import Mapping
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Annotated

from packaging.version import Version
from pydantic import Field
from pydantic.dataclasses import dataclass

from tests.harness.models import FIXTURES, STRICT, DataError, parse

from .differences import Difference

Packages = tuple[Mapping[str, str], Mapping[str, str]]  # installed versions, older and newer
DRIFT_ISSUES = FIXTURES / "drift_issues.toml"


@dataclass(frozen=True, config=STRICT)
class Issue:
    """A difference that came with version `since` of a package; `*` stands for anything.

    `left` and `right` are regular expressions that must be found in the JSON of the older and the
    newer value, so that another change of the same call is not taken for this one.
    """

    id: str
    package: str
    since: Annotated[str, Field(pattern=r"^[0-9]")]
    kinds: tuple[str, ...]
    explanation: Annotated[str, Field(min_length=10)]
    link: Annotated[str, Field(pattern=r"^https://")]
    call: str = "*"
    models: tuple[str, ...] = ("*",)
    left: str = ""
    right: str = ""


def read_issues(path: Path = DRIFT_ISSUES) -> list[Issue]:
    """All entries; DataError if the file is not as it should be."""
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"fixtures/{path.name}: {error}") from None
    return [parse(Issue, {**table, "id": key}, path, key) for key, table in tables.items()]


@cache
def issues() -> tuple[Issue, ...]:
    """The project's own entries, read once."""
    return tuple(read_issues())


def fits(issue: Issue, difference: Difference, packages: Packages) -> bool:
    """Whether an entry is about this difference, and the step crosses the version it came with.

    `packages` are what is installed on both sides: another package may have moved along.
    """
    older, newer = (side.get(issue.package) for side in packages)
    if older is None or newer is None:
        return False
    values = zip((issue.left, issue.right), (difference.left, difference.right), strict=True)
    return (
        Version(older) < Version(issue.since) <= Version(newer)
        and difference.kind in issue.kinds
        and fnmatchcase(difference.call, issue.call)
        and any(fnmatchcase(difference.model, it) for it in issue.models)
        and all(re.search(wanted, json.dumps(value)) for wanted, value in values)
    )


def issue_of(difference: Difference, packages: Packages) -> Issue | None:
    """The first entry that fits."""
    return next((it for it in issues() if fits(it, difference, packages)), None)

"""Known failures: tests that a named library version breaks, as strict xfail, from data."""

import pytest

from ..data.engines import ENGINES, engines, known_differences
from ..data.exceptions import own_faults
from ..data.upstream_issues import UPSTREAM_ISSUES, Pattern, patterns, read_upstream_issues
from ..errors import ContractBroken, DataError
from .engines import engine_package, engines_of
from .results import KNOWN, RESULTS, Results
from .selection import SUITES, collects_all, distributed
from .tokenizers import KEYS

_KNOWN = pytest.StashKey[list[tuple[str, Pattern]]]()  # each with the file that declares it


def _dead_lines(config: pytest.Config, names: set[str]) -> list[str]:
    """A line for each node that matches no test, of the folders that the run collects whole."""
    suites = [suite.name for suite in SUITES if collects_all(config, suite)]
    return [
        f"fixtures/{file}: [{pattern.issue.id}] nodes: {pattern.node!r} matches no "
        "test; remove it or correct its spelling"
        for file, pattern in config.stash[_KNOWN]
        if pattern.issue.suite in suites
        and not any(pattern.regex.fullmatch(name) for name in names)
    ]


def pytest_configure(config: pytest.Config) -> None:
    """Read the entries before anything is collected; a mistake is one line."""
    try:
        declared = {
            **{f"exceptions/{key}.json": own_faults(key) for key in config.stash[KEYS]},
            UPSTREAM_ISSUES.name: read_upstream_issues(),
            ENGINES.name: known_differences(engines_of(config)),
        }
        config.stash[_KNOWN] = [
            (file, pattern) for file, issues in declared.items() for pattern in patterns(issues)
        ]
    except DataError as error:
        raise pytest.UsageError(str(error)) from None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark the tests that must fail, before pytest's own -k and -m take tests away."""
    elsewhere = {
        engine.package: engine.apart.version for engine in engines().values() if engine.apart
    }
    active: dict[str, list[Pattern]] = {}  # by the test's name, which few patterns leave open
    for _, pattern in config.stash[_KNOWN]:
        if pattern.issue.applies_here(elsewhere):
            name = pattern.node.partition("[")[0]
            active.setdefault("*" if "*" in name else name, []).append(pattern)
    for item in items:
        name, package = item.name.partition("[")[0], engine_package(item)
        for pattern in [*active.get(name, ()), *active.get("*", ())]:
            issue = pattern.issue
            if package in ("", issue.package) and pattern.regex.fullmatch(item.name):
                reason = f"{issue.id}: {issue.reason} ({issue.link})"
                # Only a broken contract can be a known failure; any other exception is an error.
                mark = pytest.mark.xfail(strict=True, raises=ContractBroken, reason=reason)
                item.add_marker(mark, append=False)  # before one that is written by hand
                item.stash[KNOWN] = reason
    lines = _dead_lines(config, {item.name for item in items})
    if lines and not distributed(config):
        raise pytest.UsageError(lines[0])
    config.stash[RESULTS].recorder.collection.dead = lines


def dead_known_failures(results: Results) -> list[str]:
    """A line for each dead entry of a distributed run, whose workers collect."""
    return results.collection.dead if results.collection else []

"""Parametrizes over models in engines and cases; fails once for one that cannot be served."""

from collections.abc import Generator
from typing import Any

import pytest

from tests.harness.engines.served import Served
from tests.harness.files import TESTS
from tests.harness.plugins.availability import fail_once, why_missing
from tests.harness.plugins.engines import one_after_the_other, parametrize_served, why_unserved
from tests.harness.snapshots.extension import SNAPSHOTS, RowsExtension

_TOLD = pytest.StashKey[set[tuple[str, str]]]()  # models and causes that were told


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Each test runs on `served`, or on `served` and what its other argument names."""
    parametrize_served(metafunc)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Fail for a model that cannot be served, once; its other tests are skipped."""
    call = getattr(item, "callspec", None)
    for value in call.params.values() if call else ():
        if isinstance(value, Served):
            fail_once(item.config, why_missing(value.tokenizer))
            fail_once(item.config, why_unserved(value))


@pytest.hookimpl(wrapper=True, tryfirst=True)  # around the one that keeps the failure
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, Any]:
    """Tell a cause in full once for each model, and then in one line: a file's key breaks many."""
    report = yield
    failure = getattr(report, "failure", None)
    if report.failed and failure and failure["cause"]:
        told = item.config.stash.setdefault(_TOLD, set())
        key = (report.check["model"] if report.check else "", failure["cause"])
        if key in told:
            report.longrepr = failure["lines"][0]
        told.add(key)
    return report


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put engines behind each other."""
    one_after_the_other(items)


@pytest.fixture
def recorded(request: pytest.FixtureRequest) -> dict[str, str]:
    """The pinned prompts of a model, by case: what tests/conformance compares with."""
    values = request.node.callspec.params
    key = (values.get("served") or values["endpoint"]).key
    path = TESTS / "conformance" / SNAPSHOTS / f"{key}.prompts.txt"
    return RowsExtension.store.file(path).blocks

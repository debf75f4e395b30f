"""Parametrizes over models in engines and cases; fails once for one that cannot be served."""

import pytest

from tests.harness.engines.served import Served
from tests.harness.files import TESTS
from tests.harness.plugins.availability import fail_once, why_missing
from tests.harness.plugins.engines import parametrize_served, why_unserved
from tests.harness.snapshots.extension import SNAPSHOTS, RowsExtension


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


@pytest.fixture
def recorded(request: pytest.FixtureRequest) -> dict[str, str]:
    """The pinned prompts of a model, by case: what tests/conformance compares with."""
    values = request.node.callspec.params
    key = (values.get("served") or values["endpoint"]).key
    path = TESTS / "conformance" / SNAPSHOTS / f"{key}.prompts.txt"
    return RowsExtension.store.file(path).blocks

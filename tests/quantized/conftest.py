"""Parametrizes over the (model, device) pairs of the registry and the loads; one at a time."""

import pytest

from tests.harness.plugins.parametrize import drop_empty, parametrize_loads, sort_by_load


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Each test that takes `loaded_model` runs on what the registry declares; marks narrow it."""
    parametrize_loads(metafunc)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Drop tests that no chosen model is concerned by; bring those of a load together."""
    drop_empty(items)
    sort_by_load(items)

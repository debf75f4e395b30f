"""Parametrizes over the registry's models and devices and the loads, ordered by load."""

import pytest

from tests.harness.plugins.parametrize import drop_empty, parametrize_loads, sort_by_load


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Each test with `loaded_model` runs on what the registry declares and its marks allow."""
    parametrize_loads(metafunc)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Drop tests that apply to no selected model; bring those of a load together."""
    drop_empty(items)
    sort_by_load(items)

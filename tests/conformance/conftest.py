"""Parametrizes over models and cases; no test runs on files that cannot be had or read."""

import pytest

from tests.harness.plugins.availability import fail_once, why_unusable
from tests.harness.plugins.parametrize import drop_empty, parametrize_tokenizers
from tests.harness.tokenizer.loaded import LoadedTokenizer


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Each test runs on `model`, or on `model` and its second argument."""
    parametrize_tokenizers(metafunc)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Fail for a model that cannot be used, once; its other tests are skipped."""
    call = getattr(item, "callspec", None)
    for value in call.params.values() if call else ():
        if isinstance(value, LoadedTokenizer):
            fail_once(item.config, why_unusable(value))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Drop tests that no chosen model is concerned by."""
    drop_empty(items)

"""Parametrizes over models and cases; fails once for a model that cannot be used."""

import pytest

from tests.harness.plugins.availability import fail_once, why_unusable
from tests.harness.plugins.parametrize import parametrize_tokenizers
from tests.harness.tokenizer.loaded import LoadedTokenizer


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Each test runs on `tokenizer`, or on `tokenizer` and the cases its other argument names."""
    parametrize_tokenizers(metafunc)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Fail for a model that cannot be used, once; its other tests are skipped."""
    call = getattr(item, "callspec", None)
    for value in call.params.values() if call else ():
        if isinstance(value, LoadedTokenizer):
            fail_once(item.config, why_unusable(value))

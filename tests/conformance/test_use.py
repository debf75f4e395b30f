"""Use leaves no trace: in later calls, in saved files, in other threads; what is saved loads."""

import pytest

from tests.harness.checks import use
from tests.harness.tokenizer.loaded import LoadedTokenizer
from tests.harness.tokenizer.uses import USES


def test_equal_calls_agree(tokenizer: LoadedTokenizer) -> None:
    for between in USES:
        use.check_calls_repeat(tokenizer, between)


@pytest.mark.parametrize("trace", use.TRACES)
def test_saved_files_do_not_show_use(tokenizer: LoadedTokenizer, trace: str) -> None:
    use.check_saved_files(tokenizer, trace)


@pytest.mark.parametrize("beside", use.BESIDE)
def test_threads_get_their_own_ids(tokenizer: LoadedTokenizer, beside: str) -> None:
    use.check_threads(tokenizer, beside)


def test_saved_tokenizer_loads_the_same(tokenizer: LoadedTokenizer) -> None:
    for part in use.SAVED:
        use.check_reloaded(tokenizer, part)

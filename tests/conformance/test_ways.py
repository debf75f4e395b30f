"""Every way in and out: pairs, words, windows, tensors, and back; composed from ids of texts."""

import pytest

from tests.harness.checks import ways
from tests.harness.data.calls import Call
from tests.harness.tokenizer.calls import BATCHES, IDS
from tests.harness.tokenizer.loaded import LoadedTokenizer


def test_call_gives_the_declared_value(tokenizer: LoadedTokenizer, call: Call) -> None:
    ways.check_call(tokenizer, call)


def test_pair_is_both_texts(tokenizer: LoadedTokenizer) -> None:
    ways.check_pairs(tokenizer)


def test_words_are_encoded_one_by_one(tokenizer: LoadedTokenizer) -> None:
    for words in ways.WORDS:
        ways.check_words(tokenizer, words)


def test_windows_cover_the_text(tokenizer: LoadedTokenizer) -> None:
    for side in ("left", "right"):
        ways.check_windows(tokenizer, side)


@pytest.mark.parametrize("framework", ["pt", "np"])
def test_tensor_is_the_ids(tokenizer: LoadedTokenizer, framework: str) -> None:
    for given in ways.TENSORS:
        ways.check_tensors(tokenizer, given, framework)


def test_empty_batch_has_no_rows(tokenizer: LoadedTokenizer) -> None:
    for framework in ("list", "pt", "np"):
        ways.check_empty_batch(tokenizer, framework)


def test_decode_takes_every_form(tokenizer: LoadedTokenizer) -> None:
    for form in IDS:
        ways.check_decode(tokenizer, form)


@pytest.mark.parametrize("forms", BATCHES)
def test_batch_decode_gives_a_text_a_row(tokenizer: LoadedTokenizer, forms: str) -> None:
    for form in BATCHES[forms]:
        ways.check_batch_decode(tokenizer, form)


def test_tokens_and_ids_convert_both_ways(tokenizer: LoadedTokenizer) -> None:
    ways.check_converting(tokenizer)


def test_characters_words_and_tokens_agree(tokenizer: LoadedTokenizer) -> None:
    for pair in (False, True):
        ways.check_positions(tokenizer, pair)


def test_special_tokens_are_skipped_and_no_others(tokenizer: LoadedTokenizer) -> None:
    ways.check_skipping(tokenizer)


def test_special_tokens_mask_marks_what_was_added(tokenizer: LoadedTokenizer) -> None:
    ways.check_special_tokens_mask(tokenizer)

"""Every way in and out: pairs, words, windows, tensors, and back; composed from ids of texts."""

import pytest

from tests.harness.checks import ways
from tests.harness.data.calls import Call
from tests.harness.tokenizer.loaded import LoadedTokenizer

SIDES = ["left", "right"]


def test_call_gives_the_declared_value(tokenizer: LoadedTokenizer, call: Call) -> None:
    ways.check_call(tokenizer, call)


def test_pair_is_both_texts(tokenizer: LoadedTokenizer) -> None:
    ways.check_pairs(tokenizer)


@pytest.mark.parametrize("words", ways.WORDS)
def test_words_are_encoded_one_by_one(tokenizer: LoadedTokenizer, words: str) -> None:
    ways.check_words(tokenizer, words)


@pytest.mark.parametrize("side", SIDES)
def test_windows_cover_the_text(tokenizer: LoadedTokenizer, side: str) -> None:
    ways.check_windows(tokenizer, side)


@pytest.mark.parametrize("framework", ["pt", "np"])
@pytest.mark.parametrize("given", ways.TENSORS)
def test_tensor_is_the_ids(tokenizer: LoadedTokenizer, given: str, framework: str) -> None:
    ways.check_tensors(tokenizer, given, framework)


@pytest.mark.parametrize("framework", ["list", "pt", "np"])
def test_empty_batch_has_no_rows(tokenizer: LoadedTokenizer, framework: str) -> None:
    ways.check_empty_batch(tokenizer, framework)


@pytest.mark.parametrize("form", ways.IDS)
def test_decode_takes_every_form(tokenizer: LoadedTokenizer, form: str) -> None:
    ways.check_decode(tokenizer, form)


@pytest.mark.parametrize("form", ways.BATCHES)
def test_batch_decode_gives_a_text_a_row(tokenizer: LoadedTokenizer, form: str) -> None:
    ways.check_batch_decode(tokenizer, form)


def test_tokens_and_ids_convert_both_ways(tokenizer: LoadedTokenizer) -> None:
    ways.check_converting(tokenizer)


@pytest.mark.parametrize("which", ["text", "pair"])
def test_characters_words_and_tokens_agree(tokenizer: LoadedTokenizer, which: str) -> None:
    ways.check_positions(tokenizer, pair=which == "pair")


def test_special_tokens_are_skipped_and_no_others(tokenizer: LoadedTokenizer) -> None:
    ways.check_skipping(tokenizer)


def test_special_tokens_mask_marks_what_was_added(tokenizer: LoadedTokenizer) -> None:
    ways.check_special_tokens_mask(tokenizer)

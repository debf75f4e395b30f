"""The price is one token, alone and behind the prompt, and padding never cuts it off."""

import pytest

from tests.harness.checks.tokenizer import check_ids, check_value
from tests.harness.errors import fail
from tests.harness.prices.products import MARKER, TEXT_LIMIT, TRAINING_LIMIT, price_prompt
from tests.harness.prices.replies import single_token_numbers
from tests.harness.tokenizer.loaded import LoadedTokenizer

NUMBERS = [str(number) for number in range(1000)]


def plain_ids(tokenizer: LoadedTokenizer, texts: list[str]) -> list[list[int]]:
    """Ids without special tokens, in one call."""
    ids: list[list[int]] = tokenizer.transformers(texts, add_special_tokens=False)["input_ids"]
    return ids


@pytest.mark.parametrize("place", ["alone", "after_the_prompt"])
def test_single_token_prices_match_registry(tokenizer: LoadedTokenizer, place: str) -> None:
    single = single_token_numbers(tokenizer.transformers, "" if place == "alone" else MARKER)
    declared = tokenizer.spec.single_token_numbers[0 if place == "alone" else 1]
    if len(single) != declared:
        lost = next((number for number in NUMBERS if number not in single), "none")
        fail(
            tokenizer.key,
            f"{len(single)} of the numbers 0..999 are one token {place}, declared "
            f"{declared}; first that is not: {lost}",
            cause="digits are split differently",
        )


@pytest.mark.needs("single_token_prices")
def test_price_survives_padding_and_truncation(tokenizer: LoadedTokenizer) -> None:
    """A text of the whole budget, padded to what training allows, keeps its price token last."""
    frame = f"{price_prompt('{}')}374"
    room = TEXT_LIMIT - len(plain_ids(tokenizer, [frame.format("A lamp")])[0])
    text = frame.format("A lamp" + " light" * room)
    plain = plain_ids(tokenizer, [text])[0]
    check_value(tokenizer, "tokens of a text of the whole budget", len(plain), TEXT_LIMIT)
    pad = {"padding": "max_length", "truncation": True, "max_length": TRAINING_LIMIT}
    with tokenizer.changed(pad_token=tokenizer.transformers.eos_token):
        ids = tokenizer.transformers(text, **pad)["input_ids"]
    declared = tokenizer.spec.tokenizer
    assert declared.bos is not None and declared.eos is not None
    expected = [declared.bos, *plain, *[declared.eos] * (TRAINING_LIMIT - TEXT_LIMIT - 1)]
    check_ids(tokenizer, "price text", "padded to the training length", ids, expected)
    price = tokenizer.transformers.decode([ids[TEXT_LIMIT]])
    check_value(tokenizer, "the last token of the text is the price", price, "374")

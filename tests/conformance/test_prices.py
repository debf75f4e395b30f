"""The task's own promise: the price is one token, and it is never cut off."""

import pytest

from tests.harness.diagnosis import check_ids, check_value, fail
from tests.harness.loading import Loaded
from tests.harness.prices.products import MARKER, TEXT_LIMIT, TRAINING_LIMIT, price_prompt
from tests.harness.prices.replies import single_token_numbers

NUMBERS = [str(number) for number in range(1000)]


def plain_ids(model: Loaded, texts: list[str]) -> list[list[int]]:
    """Ids without special tokens, in one call."""
    ids: list[list[int]] = model.auto(texts, add_special_tokens=False)["input_ids"]
    return ids


@pytest.mark.parametrize("place", ["alone", "after_the_prompt"])
def test_single_token_prices_are_as_declared(model: Loaded, place: str) -> None:
    single = single_token_numbers(model.auto, "" if place == "alone" else MARKER)
    declared = model.model.single_token_numbers[0 if place == "alone" else 1]
    if len(single) != declared:
        lost = next((number for number in NUMBERS if number not in single), "none")
        fail(
            f"{model.key}: {len(single)} of the numbers 0..999 are one token {place}, declared "
            f"{declared}; first that is not: {lost}; likely cause: digits are split differently"
        )


@pytest.mark.needs("single_token_prices")
def test_price_survives_padding_and_truncation(model: Loaded) -> None:
    """A text of the whole budget, padded to what training allows, keeps its price token last."""
    frame = f"{price_prompt('{}')}374"
    room = TEXT_LIMIT - len(plain_ids(model, [frame.format("A lamp")])[0])
    text = frame.format("A lamp" + " light" * room)
    plain = plain_ids(model, [text])[0]
    check_value(model, "tokens of a text of the whole budget", len(plain), TEXT_LIMIT)
    pad = {"padding": "max_length", "truncation": True, "max_length": TRAINING_LIMIT}
    model.auto.pad_token, before = model.auto.eos_token, model.auto.pad_token
    try:
        ids = model.auto(text, **pad)["input_ids"]
    finally:
        model.auto.pad_token = before
    facts = model.model.tokenizer
    assert facts.bos is not None and facts.eos is not None
    expected = [facts.bos, *plain, *[facts.eos] * (TRAINING_LIMIT - TEXT_LIMIT - 1)]
    check_ids(model, "price text", "padded to the training length", ids, expected)
    price = model.auto.decode([ids[TEXT_LIMIT]])
    check_value(model, "the last token of the text is the price", price, "374")

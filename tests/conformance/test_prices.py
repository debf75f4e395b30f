"""The task's own promise: the price is one token, and it is never cut off."""

import pytest

from tests.harness.diagnosis import check_ids, check_value, fail
from tests.harness.loading import Loaded
from tests.harness.prices import single_token_numbers

NUMBERS = [str(number) for number in range(1000)]
QUESTION = "How much does this cost to the nearest dollar?"
PROMPT = "Price is $"
BUDGET, PADDED = 179, 182  # tokens of a training text, and what training allows with BOS and EOS


def plain_ids(model: Loaded, texts: list[str]) -> list[list[int]]:
    """Ids without special tokens, in one call."""
    ids: list[list[int]] = model.auto(texts, add_special_tokens=False)["input_ids"]
    return ids


@pytest.mark.parametrize("place", ["alone", "after_the_prompt"])
def test_single_token_prices_are_as_declared(model: Loaded, place: str) -> None:
    single = single_token_numbers(model.auto, "" if place == "alone" else PROMPT)
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
    frame = f"{QUESTION}\n\n{{}}\n\n{PROMPT}374"
    room = BUDGET - len(plain_ids(model, [frame.format("A lamp")])[0])
    text = frame.format("A lamp" + " light" * room)
    plain = plain_ids(model, [text])[0]
    check_value(model, "tokens of a text of the whole budget", len(plain), BUDGET)
    pad = {"padding": "max_length", "truncation": True, "max_length": PADDED}
    model.auto.pad_token, before = model.auto.eos_token, model.auto.pad_token
    try:
        ids = model.auto(text, **pad)["input_ids"]
    finally:
        model.auto.pad_token = before
    facts = model.model.tokenizer
    assert facts.bos is not None and facts.eos is not None
    expected = [facts.bos, *plain, *[facts.eos] * (PADDED - BUDGET - 1)]
    check_ids(model, "price text", "padded to the training length", ids, expected)
    price = model.auto.decode([ids[BUDGET]])
    check_value(model, "the last token of the text is the price", price, "374")

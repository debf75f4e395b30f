"""Checks of the answer to the price prompt: that it is a price, and how it is read."""

from collections.abc import Callable
from functools import cache
from typing import Any

from ..errors import fail
from ..model.generation import Answer, decoded
from ..model.loading import LoadedModel
from ..prices.products import MARKER
from ..prices.replies import extract_price, price_token_ids
from ..text import quote
from .answers import check_count, check_tokens, id_rows


@cache
def _price_ids(tokenizer: Any) -> list[int]:
    return sorted(price_token_ids(tokenizer))


def check_price_token(loaded: LoadedModel, product: str, logits: Any) -> None:
    """The most likely next token is a price token."""
    best = int(logits.argmax())
    if best not in _price_ids(loaded.tokenizer):
        fail(
            loaded.label,
            f"{product}: most likely after {quote(MARKER)} got {id_rows(loaded, [best])[0]}, "
            "expected digits",
            cause="the weights, or a tokenizer that is not theirs",
        )


def check_price_mass(loaded: LoadedModel, product: str, logits: Any) -> None:
    """Price tokens together are at least as probable as the registry declares, from 0 to 1."""
    declared = loaded.spec.price_mass
    assert declared is not None, f"{loaded.key}: the registry declares no price_mass"
    got = float(logits.softmax(-1)[_price_ids(loaded.tokenizer)].sum())
    if not got >= declared:
        best = [int(index) for index in logits.topk(3).indices]
        fail(
            loaded.label,
            f"{product}: probability of a price token got {got:.3f}, expected at least {declared}",
            f"  likeliest: {', '.join(id_rows(loaded, best))}",
            cause="the weights, or quantization lost too much",
        )


def check_one_token_price(loaded: LoadedModel, product: str, one: Answer) -> None:
    """One new token is already a price."""
    check_count(loaded, one, 1, product)
    if extract_price(one.reply) is None:
        fail(
            loaded.label,
            f"{product}: one new token got {id_rows(loaded, one.new)[0]}, expected a price",
            cause="the model does not answer with a number at once",
        )


def check_first_of_four(loaded: LoadedModel, product: str, one: Answer, four: Answer) -> None:
    """The first of four new tokens is the one token: the budget does not change the answer."""
    what, cause = f"{product}: first of four new tokens", "the budget changes the first token"
    check_tokens(loaded, what, four.new[:1], one.new, cause)


def check_same_price(loaded: LoadedModel, product: str, one: Answer, four: Answer) -> None:
    """One new token and four name the same price in whole dollars.

    Prices from 1000 on are left out: they go on after a comma, so one token cannot name them.
    """
    short, long = extract_price(one.reply), extract_price(four.reply)
    if long is not None and long >= 1000:
        return
    whole = [None if price is None else int(price) for price in (short, long)]
    if whole[0] != whole[1]:
        fail(
            loaded.label,
            f"{product}: price with max_new_tokens=1 got {short}, with 4 {long}",
            f"  replies: {quote(one.reply)} and {quote(four.reply)}",
            cause="the price is not one token",
        )


def check_reading(
    loaded: LoadedModel,
    product: str,
    answer: Answer,
    read: Callable[[str], float | None] = extract_price,
) -> None:
    """The price is read from the reply alone, and would be the same behind the prompt.

    `read` is under test too: it must take nothing from the prompt, which is full of numbers.
    """
    prompt, expected = (decoded(loaded.tokenizer, ids) for ids in (answer.prompt_ids, answer.new))
    if answer.reply != expected:
        fail(
            loaded.label,
            f"{product}: reply got {quote(answer.reply[:60])}, expected {quote(expected)}",
            cause="the prompt is echoed into the reply",
        )
    alone, behind = read(answer.reply), read(prompt + answer.reply)
    if alone != behind:
        fail(
            loaded.label,
            f"{product}: price of the reply alone got {alone}, behind the prompt {behind}",
            f"  reply: {quote(answer.reply)}",
            cause="the prompt is echoed into the price",
        )

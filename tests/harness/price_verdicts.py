"""Judges the answer to the price prompt: that it is a price, and how it is read."""

from collections.abc import Callable
from functools import cache
from typing import Any

from .answer_verdicts import check_count, check_tokens, shown
from .diagnosis import fail
from .generation import Answer, decoded
from .live import Live
from .prices import MARKER, extract_price, price_token_ids
from .visible import quote

Read = Callable[[str], float | None]


@cache
def price_ids(tokenizer: Any) -> frozenset[int]:
    """`price_token_ids`, once a tokenizer."""
    return price_token_ids(tokenizer)


def price_mass(live: Live, logits: Any) -> float:
    """Probability that the next token is a price token, 0 to 1."""
    return float(logits.softmax(-1)[sorted(price_ids(live.tokenizer))].sum())


def check_price_token(live: Live, product: str, logits: Any) -> None:
    """The most likely next token is a price token."""
    best = int(logits.argmax())
    if best not in price_ids(live.tokenizer):
        fail(
            f"{live.title}: {product}: most likely after {quote(MARKER)} got "
            f"{shown(live, [best])[0]}, expected digits; likely cause: the weights, or a "
            "tokenizer that is not theirs"
        )


def check_price_mass(live: Live, product: str, logits: Any) -> None:
    """Price tokens together are at least as probable as the registry declares."""
    declared, got = live.facts.price_mass, price_mass(live, logits)
    assert declared is not None, f"{live.key}: the registry declares no price_mass"
    if not got >= declared:
        best = [int(index) for index in logits.topk(3).indices]
        fail(
            f"{live.title}: {product}: probability of a price token got {got:.3f}, expected at "
            f"least {declared}; likely cause: the weights, or quantisation lost too much",
            f"  likeliest: {', '.join(shown(live, best))}",
        )


def check_one_token_price(live: Live, product: str, one: Answer) -> None:
    """One new token is already a price."""
    check_count(live, one, 1, product)
    if extract_price(one.reply) is None:
        fail(
            f"{live.title}: {product}: one new token got {shown(live, one.new)[0]}, expected a "
            "price; likely cause: the model does not answer with a number at once"
        )


def check_first_of_four(live: Live, product: str, one: Answer, four: Answer) -> None:
    """The first of four new tokens is the one token: the budget does not change the answer."""
    what, cause = f"{product}: first of four new tokens", "the budget changes the first token"
    check_tokens(live, what, four.new[:1], one.new, cause)


def check_same_price(live: Live, product: str, one: Answer, four: Answer) -> None:
    """One new token and four name the same price in whole dollars.

    Prices from 1000 on are left out: they go on after a comma, and no one token can say them.
    """
    short, long = extract_price(one.reply), extract_price(four.reply)
    if long is not None and long >= 1000:
        return
    whole = [None if price is None else int(price) for price in (short, long)]
    if whole[0] != whole[1]:
        fail(
            f"{live.title}: {product}: price with max_new_tokens=1 got {short}, with 4 {long}; "
            "likely cause: the price is not one token",
            f"  replies: {quote(one.reply)} and {quote(four.reply)}",
        )


def check_reading(live: Live, product: str, answer: Answer, read: Read = extract_price) -> None:
    """The price is read from the reply alone, and would be the same behind the prompt.

    `read` is under test too: it must take nothing from the prompt, which is full of numbers.
    """
    prompt = decoded(live.tokenizer, answer.prompt_ids)
    expected = decoded(live.tokenizer, answer.new)
    if answer.reply != expected:
        fail(
            f"{live.title}: {product}: reply got {quote(answer.reply[:60])}, expected "
            f"{quote(expected)}; likely cause: the prompt is echoed into the reply"
        )
    alone, behind = read(answer.reply), read(prompt + answer.reply)
    if alone != behind:
        fail(
            f"{live.title}: {product}: price of the reply alone got {alone}, behind the prompt "
            f"{behind}; likely cause: the prompt is echoed into the price",
            f"  reply: {quote(answer.reply)}",
        )

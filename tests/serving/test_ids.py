"""Texts to ids in the engine: as the model's tokenizer.json has them."""

import pytest

from tests.harness.data.cases import TextCase, texts
from tests.harness.engines.judging import asking, check_same_text, check_served_ids
from tests.harness.engines.served import Served
from tests.harness.errors import fail
from tests.harness.prices.products import by_length, price_prompt


def test_ids(served: Served, text: TextCase) -> None:
    """With what the engine puts in front of a text."""
    whole = text.full_text
    with asking(served, text.name):
        got = served.connection.ids(whole)
    expected = served.tokenizer.tokenizers.encode(whole).ids
    check_served_ids(served, text.name, "ids", got, expected, whole)


def test_ids_without_special_tokens(served: Served, text: TextCase) -> None:
    whole = text.full_text
    with asking(served, text.name):
        got = served.connection.ids(whole, special=False)
    expected = served.tokenizer.tokenizers.encode(whole, add_special_tokens=False).ids
    check_served_ids(served, text.name, "ids without special tokens", got, expected, whole)


@pytest.mark.routes("ids.parsed")
def test_unparsed_ids(served: Served, text: TextCase) -> None:
    """Control tokens that a user typed are text."""
    whole = text.full_text
    with asking(served, text.name):
        got = served.connection.ids(whole, special=False, parsed=False)
    file = served.tokenizer.tokenizers
    file.encode_special_tokens = True
    try:
        expected = file.encode(whole, add_special_tokens=False).ids
    finally:
        file.encode_special_tokens = False
    check_served_ids(served, text.name, "ids of unparsed text", got, expected, whole)


@pytest.mark.own_file
@pytest.mark.routes("pieces")
def test_pieces_join_to_the_text(served: Served, text: TextCase) -> None:
    whole = text.full_text
    with asking(served, text.name):
        got = served.connection.pieces(whole).decode("utf-8", "surrogateescape")
    if not served.tokenizer.byte_level:
        got = got.removeprefix(" ")  # SentencePiece's own
    expected = text.expected(served.key, "decode")
    check_same_text(served, text.name, "joined pieces", got, expected)


@pytest.mark.routes("ids.parsed")
def test_control_tokens_stay_text(served: Served) -> None:
    """No text that is not to be parsed gives an id of a control token."""
    content = served.tokenizer.json_file.content["added_tokens"]
    control = {token["id"]: token["content"] for token in content if token["special"]}
    for case in texts().values():
        if not any(token in case.full_text for token in control.values()):
            continue
        with asking(served, case.name):
            got = served.connection.ids(case.full_text, special=False, parsed=False)
        if typed := [number for number in got if number in control]:
            fail(
                f"{served.key} {case.name}",
                f"{served.label} makes {typed[0]} '{control[typed[0]]}' of what a user typed",
                cause="the engine parses control tokens where it is asked not to",
            )


@pytest.mark.needs("bos")
def test_prompt_sent_as_text(served: Served) -> None:
    """A prompt that has its BOS already, sent as a text, gets what transformers gives it."""
    prompt = f"{served.bos_text}{price_prompt(by_length()[0].text)}"
    with asking(served, "prompt with BOS"):
        got = served.connection.ids(prompt)
    expected = served.tokenizer.tokenizers.encode(prompt).ids
    check_served_ids(served, "prompt with BOS", "ids", got, expected)

"""Reading prices out of replies, against expectations written by hand; and price tokens."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer

from tests.harness.prices.products import PriceReply, price_prompt, read_price_replies
from tests.harness.prices.replies import extract_price, price_token_ids

REPLIES = read_price_replies()
# Numbers within the description must never be taken for the price.
PROMPT = price_prompt('Cooktop 30", 4 zones of 1,800 W, 2 years of warranty')

Reader = Callable[[str], float | None]


@pytest.fixture(scope="module")
def llama(bundle: dict[str, Path]) -> Tokenizer:
    return Tokenizer.from_file(str(bundle["llama3_1"] / "tokenizer.json"))


@pytest.mark.parametrize("case", REPLIES, ids=lambda case: case.id)
def test_reply_reads_as_written(case: PriceReply) -> None:
    assert extract_price(case.reply) == case.price


@pytest.mark.parametrize("case", REPLIES, ids=lambda case: case.id)
@pytest.mark.parametrize("bos", ["", "<|begin_of_text|>"], ids=["plain", "bos"])
def test_echoed_prompt_changes_nothing(case: PriceReply, bos: str) -> None:
    assert extract_price(bos + PROMPT + case.reply) == case.price


def test_first_marker_counts_in_a_text_that_is_not_a_reply() -> None:
    assert extract_price("Pan, 12 inch.\n\nPrice is $26.00\n\nPrice is $99.00") == 26.0


def first_number(pattern: str) -> Reader:
    """A reader that takes the first match and removes every comma."""

    def read(text: str) -> float | None:
        found = re.search(pattern, text)
        return float(found[0].replace(",", "")) if found else None

    return read


def last_number(text: str) -> float | None:
    found: list[str] = re.findall(r"[0-9]+(?:\.[0-9]+)?", text.replace(",", ""))
    return float(found[-1]) if found else None


def any_float(text: str) -> float | None:
    try:
        return float(text.replace(",", ""))
    except ValueError:
        return None


FAULTY: dict[str, Reader] = {
    "commas_kept": first_number(r"[0-9]+(?:\.[0-9]+)?"),
    "every_comma_removed": first_number(r"[0-9,]*[0-9]+(?:\.[0-9]+)?"),
    "signed": first_number(r"-?[0-9]{1,3}(?:,[0-9]{3})*(?:\.[0-9]+)?"),
    "unicode_digits": first_number(r"\d+(?:\.\d+)?"),
    "whole_dollars": first_number(r"[0-9]{1,3}(?:,[0-9]{3})*"),
    "last_number": last_number,
    "float_of_all": any_float,
    "last_marker": lambda text: extract_price(text.rpartition("Price is $")[2]),
}


@pytest.mark.parametrize("fault", FAULTY)
def test_replies_catch_a_faulty_reader(fault: str) -> None:
    read = FAULTY[fault]
    assert [case.id for case in REPLIES if read(case.reply) != case.price]


# Phi-3 has its digits twice: as tokens and as the byte-fallback tokens <0x30> to <0x39>.
@pytest.mark.parametrize(
    ("key", "count"),
    [
        ("llama3_1", 1110),
        ("llama3_1_instruct", 1110),
        ("phi3", 20),
        ("qwen2", 10),
        ("starcoder2", 10),
        ("smollm2", 10),
    ],
)
def test_price_tokens_are_ascii_numbers(bundle: dict[str, Path], key: str, count: int) -> None:
    tokenizer = Tokenizer.from_file(str(bundle[key] / "tokenizer.json"))
    ids = price_token_ids(tokenizer)
    digits = 3 if count == 1110 else 1
    wanted = {f"{n:0{width}}" for width in range(1, digits + 1) for n in range(10**width)}
    assert len(ids) == count
    assert {tokenizer.decode([token]) for token in ids} == wanted


def test_price_tokens_are_the_same_through_transformers(llama: Tokenizer) -> None:
    from transformers import PreTrainedTokenizerFast

    wrapped: Any = PreTrainedTokenizerFast(tokenizer_object=llama)
    assert price_token_ids(wrapped) == price_token_ids(llama)

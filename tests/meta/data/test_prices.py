"""The price task: products and prompts, prices read out of replies, and price tokens."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic.dataclasses import dataclass
from tokenizers import Tokenizer

from tests.harness.data.cases import Case, read_topic
from tests.harness.data.schema import STRICT
from tests.harness.errors import DataError
from tests.harness.files import FIXTURES
from tests.harness.prices.products import (
    TRAINING_LIMIT,
    Product,
    price_prompt,
    read_products,
    training_text,
)
from tests.harness.prices.replies import extract_price, price_token_ids


@dataclass(frozen=True, kw_only=True, config=STRICT)
class PriceReply(Case):
    """A model's reply and the price in dollars to read from it; None where it names none."""

    reply: str
    price: float | None


REPLIES: list[PriceReply] = read_topic(FIXTURES / "prices" / "replies.json", PriceReply)
# Tokens with BOS and without the three of "374.00": what training leaves for a prompt.
PROMPT_LIMIT = TRAINING_LIMIT - 3
# Numbers within the description must never be taken for the price.
PROMPT = price_prompt('Cooktop 30", 4 zones of 1,800 W, 2 years of warranty')

Reader = Callable[[str], float | None]


@pytest.fixture(scope="module")
def llama(bundle: dict[str, Path]) -> Tokenizer:
    return Tokenizer.from_file(str(bundle["llama3_1"] / "tokenizer.json"))


def encode(tokenizer: Tokenizer, text: str) -> list[int]:
    """Ids with BOS, as a model is given them."""
    return list(tokenizer.encode(text).ids)


def test_first_product_is_the_tasks() -> None:
    first = read_products()[0]
    assert ("Compressor" in first.title, first.price) == (True, 374.0)
    assert training_text(first.text, first.price) == (
        "How much does this cost to the nearest dollar?\n\n"
        f"{first.title}\n{first.description}\n\nPrice is $374.00"
    )


@pytest.mark.parametrize(("price", "end"), [(12.49, "$12.00"), (99.95, "$100.00"), (2.5, "$2.00")])
def test_training_text_rounds_to_a_dollar(price: float, end: str) -> None:
    assert training_text("Thing", price).endswith(f"\n\nPrice is {end}")


def test_products_are_many_and_varied() -> None:
    products = read_products()
    assert len(products) >= 64
    assert len({product.text for product in products}) == len(products)
    assert len({round(product.price) for product in products}) >= 50
    assert sum(not product.text.isascii() for product in products) >= 10
    assert sum('"' in product.text for product in products) >= 10
    assert sum(product.price % 1 != 0 for product in products) >= 20
    assert sum(len(str(round(product.price))) == 1 for product in products) >= 1


def test_prompts_keep_the_token_budget(llama: Tokenizer) -> None:
    counts = {
        product.id: len(encode(llama, price_prompt(product.text))) for product in read_products()
    }
    assert {name: count for name, count in counts.items() if not 40 <= count <= PROMPT_LIMIT} == {}
    assert sum(count == PROMPT_LIMIT for count in counts.values()) >= 3
    assert sum(count <= 60 for count in counts.values()) >= 10
    assert sum(120 <= count < PROMPT_LIMIT for count in counts.values()) >= 5


@pytest.mark.parametrize("product", read_products(), ids=lambda product: product.id)
def test_price_is_one_token_behind_the_prompt(llama: Tokenizer, product: Product) -> None:
    prompt = encode(llama, price_prompt(product.text))
    text = encode(llama, training_text(product.text, product.price))
    assert len(text) <= TRAINING_LIMIT
    assert text[: len(prompt)] == prompt
    pieces = [llama.decode([token]) for token in text[len(prompt) :]]
    assert pieces == [str(round(product.price)), ".", "00"]


PRODUCT: dict[str, Any] = {"id": "pan", "title": "Pan", "description": "Cast iron.", "price": 26.5}
BAD_PRODUCTS: dict[str, tuple[Any, str]] = {
    "not_json": ("{", r"\[line 2\] Expecting property name"),
    "not_an_object": ("[]", r"\[line 2\] "),
    "price_missing": ({"price": ...}, r"\[line 2\] price: Field required"),
    "price_too_high": ({"price": 999.5}, r"\[line 2\] price: .*less than 999.5"),
    "price_too_low": ({"price": 0}, r"\[line 2\] price: .*greater than or equal to 1"),
    "price_not_a_number": ({"price": float("nan")}, r"\[line 2\] price: "),
    "unknown_key": ({"colour": "red"}, r"\[line 2\] colour: unknown key"),
    "blank_at_the_end": ({"description": "Iron. "}, r"\[line 2\] description: "),
    "id_twice": ({"id": "pan"}, r"\[line 2\] id: 'pan' appears twice, first in line 1"),
    "marker": ({"title": "Price is $5"}, r"\[line 2\] title: 'Price is \$' ends a prompt"),
}


@pytest.mark.parametrize("fault", BAD_PRODUCTS)
def test_bad_product_is_named(tmp_path: Path, fault: str) -> None:
    change, message = BAD_PRODUCTS[fault]
    if isinstance(change, str):
        second = change
    else:
        row = {**PRODUCT, "id": "pot", **change}
        second = json.dumps({key: value for key, value in row.items() if value is not ...})
    path = tmp_path / "products.jsonl"
    path.write_text(f"{json.dumps(PRODUCT)}\n{second}\n", encoding="utf-8")
    with pytest.raises(DataError, match=rf"/products\.jsonl: {message}"):
        read_products(path)


def test_text_marks_do_not_cut_a_line(tmp_path: Path) -> None:
    path = tmp_path / "products.jsonl"
    row = {**PRODUCT, "description": "One\u2028two\u0085three"}
    path.write_text(json.dumps(row, ensure_ascii=False) + "\n", encoding="utf-8")
    assert [product.description for product in read_products(path)] == [row["description"]]


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"/products\.jsonl: .*No such file"):
        read_products(tmp_path / "products.jsonl")


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

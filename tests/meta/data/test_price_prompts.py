"""The price task's texts: products, their token budget, and data files with a fault."""

import json
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer

from tests.harness.errors import DataError
from tests.harness.prices.products import (
    TRAINING_LIMIT,
    Product,
    price_prompt,
    read_price_replies,
    read_products,
    training_text,
)

# Tokens with BOS and without the three of "374.00": what training leaves for a prompt.
PROMPT_LIMIT = TRAINING_LIMIT - 3


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
    "blank_line": ("", r"\[line 2\] Expecting value"),
    "not_an_object": ("[]", r"\[line 2\] "),
    "price_missing": ({"price": ...}, r"\[line 2\] price: Field required"),
    "price_as_text": ({"price": "26"}, r"\[line 2\] price: .*number"),
    "price_too_high": ({"price": 999.5}, r"\[line 2\] price: .*less than 999.5"),
    "price_too_low": ({"price": 0}, r"\[line 2\] price: .*greater than or equal to 1"),
    "price_not_a_number": ({"price": float("nan")}, r"\[line 2\] price: "),
    "unknown_key": ({"colour": "red"}, r"\[line 2\] colour: unknown key"),
    "empty_title": ({"title": ""}, r"\[line 2\] title: "),
    "blank_at_the_end": ({"description": "Iron. "}, r"\[line 2\] description: "),
    "id_not_a_slug": ({"id": "Pan 2"}, r"\[line 2\] id: "),
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


REPLY: dict[str, Any] = {
    "id": "plain",
    "reply": "374",
    "price": 374,
    "comment": "A whole number of dollars.",
}
BAD_REPLIES: dict[str, tuple[dict[str, Any], str]] = {
    "price_as_text": ({"price": "374"}, r"\[plain\] price"),
    "price_negative": ({"price": -1}, r"\[plain\] price"),
    "comment_missing": ({"comment": ...}, r"\[plain\] comment: Field required"),
    "unknown_key": ({"note": ""}, r"\[plain\] note: unknown key"),
}


@pytest.mark.parametrize("fault", BAD_REPLIES)
def test_bad_reply_is_named(tmp_path: Path, fault: str) -> None:
    change, message = BAD_REPLIES[fault]
    row = {key: value for key, value in {**REPLY, **change}.items() if value is not ...}
    path = tmp_path / "replies.json"
    path.write_text(json.dumps({"topic": path.stem, "about": "Bad.", "cases": [row]}))
    with pytest.raises(DataError, match=rf"/replies\.json: {message}"):
        read_price_replies(path)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"/products\.jsonl: .*No such file"):
        read_products(tmp_path / "products.jsonl")

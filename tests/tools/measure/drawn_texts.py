"""Texts of the price task, drawn from the products: as long as the task's, the same every time."""

from collections.abc import Iterator
from random import Random
from typing import Any

from tests.harness.prices.products import price_prompt, read_products, training_text


def _descriptions(random: Random) -> Iterator[str]:
    """Twelve products' descriptions in one, again and again."""
    texts = [product.description for product in read_products()]
    while True:
        yield " ".join(random.sample(texts, 12))


def training_texts(count: int, seed: int = 1) -> Iterator[tuple[str, int]]:
    """Training texts of some 500 to 800 characters, and their prices in dollars."""
    random = Random(seed)
    for _, description in zip(range(count), _descriptions(random), strict=False):
        start, price = random.randrange(100), random.randrange(1, 1000)
        text = description[start : start + random.randrange(400, 700)]
        yield training_text(text.strip(), price), price


def prompt_ids(tokenizer: Any, count: int) -> dict[int, list[int]]:
    """Ids of price prompts by number, 150 to 180 tokens long."""
    random, ids = Random(42), {}
    around = len(tokenizer.encode(price_prompt("")))
    for number, description in zip(range(count), _descriptions(random), strict=False):
        words = tokenizer.encode(description, add_special_tokens=False)
        text = tokenizer.decode(words[: random.randint(150, 180) - around])
        ids[number] = tokenizer.encode(price_prompt(text.strip()))
    return ids

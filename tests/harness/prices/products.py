"""The price task: its question, products, prompts and training texts."""

import json
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field
from pydantic.dataclasses import dataclass

from ..data.schema import STRICT, Slug, parse
from ..errors import DataError
from ..files import FIXTURES

PRODUCTS = FIXTURES / "prices" / "products.jsonl"

# The task's frame around a description. The price is the next token, and the last of training.
QUESTION = "How much does this cost to the nearest dollar?"
MARKER = "Price is $"
TEXT_LIMIT = 179  # tokens of a training text, special tokens not counted
TRAINING_LIMIT = 182  # the same as training cuts it, with room for BOS and EOS


def _check_words(text: str) -> str:
    if MARKER in text:
        raise ValueError(f"{MARKER!r} ends a prompt")
    return text


# No blank at either end: it would change the tokens where the prompt's parts meet.
Words = Annotated[str, Field(pattern=r"^\S(.*\S)?$"), AfterValidator(_check_words)]


@dataclass(frozen=True, config=STRICT)
class Product:
    """One thing to be priced; `price` is in dollars and rounds to 1..999, one Llama-3.1 token."""

    id: Slug
    title: Words
    description: Words
    price: Annotated[float, Field(ge=1, lt=999.5, allow_inf_nan=False)]

    @property
    def text(self) -> str:
        """The prompt's description of the product: a line with the title, then the rest."""
        return f"{self.title}\n{self.description}"


def by_length() -> list[Product]:
    """The products, those with short texts first: quick to answer."""
    return sorted(read_products(), key=lambda product: len(product.text))


def price_prompt(description: str) -> str:
    """The text that a model is given; the next token is the price."""
    return f"{QUESTION}\n\n{description}\n\n{MARKER}"


def training_text(description: str, price: float) -> str:
    """The prompt with its answer, in whole dollars and two zeros: `Price is $374.00`.

    Halves go to the even dollar, as Python's `round` has it.
    """
    return f"{price_prompt(description)}{round(price)}.00"


def read_products(path: Path = PRODUCTS) -> list[Product]:
    """All products in the file's order, one JSON object a line; DataError names line and key."""
    place = f"{path.parent.name}/{path.name}"
    try:
        # Not splitlines: it would also cut at U+2028 and other marks that a text may contain.
        lines = path.read_bytes().decode("utf-8").removesuffix("\n").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{place}: {error}") from None
    first_line: dict[str, int] = {}
    products: list[Product] = []
    for number, line in enumerate(lines, start=1):
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise DataError(f"{place}: [line {number}] {error}") from None
        product = parse(Product, row, path, f"line {number}")
        if first_line.setdefault(product.id, number) != number:
            raise DataError(
                f"{place}: [line {number}] id: {product.id!r} appears twice, first in line "
                f"{first_line[product.id]}"
            )
        products.append(product)
    return products

"""The price task's texts: what is asked, what it is asked about, and what is expected."""

import json
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field
from pydantic.dataclasses import dataclass

from ..cases import read_topic
from ..fields import Comment, Slug
from ..models import FIXTURES, STRICT, DataError, parse

PRODUCTS = FIXTURES / "prices" / "products.jsonl"
PRICE_REPLIES = FIXTURES / "prices" / "replies.json"

# The task's frame around a description. The price is the next token, and the last of training.
QUESTION = "How much does this cost to the nearest dollar?"
MARKER = "Price is $"
TEXT_LIMIT = 179  # tokens of a training text, special tokens not counted
TRAINING_LIMIT = 182  # the same as training cuts it, with room for BOS and EOS

# Not a blank at either end, for it would change the tokens at the seams of the prompt.
Words = Annotated[str, Field(pattern=r"^\S(.*\S)?$")]


@dataclass(frozen=True, config=STRICT)
class Product:
    """One thing to be priced; `price` is in dollars and rounds to 1..999, one Llama-3.1 token."""

    id: Slug
    title: Words
    description: Words
    price: Annotated[float, Field(ge=1, lt=999.5, allow_inf_nan=False)]

    @property
    def text(self) -> str:
        """What the prompt says of the product: the title on a line of its own, then the rest."""
        return f"{self.title}\n{self.description}"


@dataclass(frozen=True, config=STRICT)
class PriceReply:
    """A model's reply and the price it must be read as; None where it names none."""

    id: Slug
    reply: str
    price: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None
    comment: Comment
    topic: str = ""


def price_prompt(description: str) -> str:
    """The text a model is given; the next token is the price."""
    return f"{QUESTION}\n\n{description}\n\n{MARKER}"


def training_text(description: str, price: float) -> str:
    """The prompt with its answer, in whole dollars and two zeros: `Price is $374.00`.

    Halves go to the even dollar, as Python's `round` has it.
    """
    return f"{price_prompt(description)}{round(price)}.00"


def read_product(line: str, path: Path, place: str) -> Product:
    """The product of one line; DataError if it is none, or if its text would end the prompt."""
    try:
        row: Any = json.loads(line)
    except json.JSONDecodeError as error:
        raise DataError(f"{path.parent.name}/{path.name}: [{place}] {error}") from None
    product = parse(Product, row, path, place)
    for key in ("title", "description"):
        if MARKER in row[key]:
            raise DataError(
                f"{path.parent.name}/{path.name}: [{place}] {key}: {MARKER!r} ends a prompt"
            )
    return product


def read_products(path: Path = PRODUCTS) -> list[Product]:
    """All products in the file's order, one JSON object a line; DataError names line and key."""
    try:
        # Not splitlines: it would also cut at U+2028 and other marks that a text may hold.
        lines = path.read_bytes().decode("utf-8").removesuffix("\n").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path.parent.name}/{path.name}: {error}") from None
    first_seen: dict[str, str] = {}
    products: list[Product] = []
    for number, line in enumerate(lines, start=1):
        place = f"line {number}"
        product = read_product(line, path, place)
        if first_seen.setdefault(product.id, place) != place:
            raise DataError(
                f"{path.parent.name}/{path.name}: [{place}] id: {product.id!r} stands twice, "
                f"first in {first_seen[product.id]}"
            )
        products.append(product)
    return products


def read_price_replies(path: Path = PRICE_REPLIES) -> list[PriceReply]:
    """All replies in the file's order; DataError names file, reply and key."""
    return read_topic(path, PriceReply)

"""Rows of a price data set: the prompt a model is asked with, and the true price."""

import argparse
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from .data_cells import Cells, read_cells
from .data_sets import DataSet
from .price_prompts import price_prompt
from .prices import MARKER

__all__ = ["BadRow", "DataSet", "Row", "add_options", "data_of", "read_rows"]

# What training texts have behind the marker, and what a text cell may be as a price: no sign, no
# currency, no thousands separators; `1,299.00` may be 1299 or 1.299 where a comma is the point.
PLAIN_NUMBER = re.compile(r"[0-9]+(\.[0-9]*)?|\.[0-9]+")
SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class Row:
    """One thing to be priced; `number` counts the data set's rows from 0, bad ones too."""

    number: int
    text: str  # ends in `Price is $`
    price: float | None  # in dollars; None: neither a price's column nor the text says it
    answer: str = ""  # what the data set's text has behind `Price is $`


@dataclass(frozen=True)
class BadRow:
    """A row that cannot be used, and why, in one clause."""

    number: int
    reason: str


def read_rows(data: DataSet) -> Iterator[Row | BadRow]:
    """All rows in the data set's order, streamed; DataError in one line if it cannot be read.

    A text is cut behind its last `Price is $`; one without is a bad row, unless `data.wrap` makes
    a prompt of it. The price is the column's, or without one what the text said behind the cut.
    """
    for number, found in enumerate(read_cells(data)):
        yield BadRow(number, found) if isinstance(found, str) else row_of(number, found, data)


def row_of(number: int, found: Cells, data: DataSet) -> Row | BadRow:
    """The row of a text and a price as they stand in the data set."""
    text, price = found
    if text is None or text == "":
        return BadRow(number, "no text")
    if not isinstance(text, str):
        return BadRow(number, f"text {short(text)} is not a string")
    if not text.isascii() and SURROGATE.search(text):  # no tokenizer takes it
        return BadRow(number, "text has half a surrogate pair, which is no character")
    if data.wrap:
        if MARKER in text:
            return BadRow(number, f"text to be wrapped has {MARKER!r} already")
        text = price_prompt(text)
    head, marker, answer = text.rpartition(MARKER)
    if not marker:
        return BadRow(number, f"text has no {MARKER!r} (--wrap makes prompts of descriptions)")
    if answer and not PLAIN_NUMBER.fullmatch(answer):
        return BadRow(number, f"{short(answer)} behind {MARKER!r} is not a number")
    if price is None and data.price_column and not answer:
        return BadRow(number, "no price")
    dollars = dollars_of(answer or None if price is None else price)
    if isinstance(dollars, str):
        return BadRow(number, dollars)
    return Row(number, head + marker, dollars, answer)


def dollars_of(price: object) -> float | str | None:
    """The price in dollars, None for None, or in one clause why it is none."""
    if price is None:
        return None
    if isinstance(price, str) and PLAIN_NUMBER.fullmatch(price):
        price = float(price)
    if isinstance(price, bool) or not isinstance(price, int | float | Decimal):
        return f"price {short(price)} is not a number"
    try:
        dollars = float(price)
    except OverflowError:
        dollars = math.inf
    if not math.isfinite(dollars):
        return f"price {short(price)} is not finite"
    return dollars if dollars >= 0 else f"price {short(price)} is negative"


def short(value: object) -> str:
    """The value as Python writes it, its first 40 characters."""
    return f"{value!r:.40}"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare which data set is to be read."""
    parser.add_argument("data", metavar="DATA", help=".jsonl, .csv or .parquet, or OWNER/NAME")
    parser.add_argument(
        "--revision",
        help="the hub's data set at this commit: 40 hex digits (default: none)",
    )
    parser.add_argument("--split", default="train", help="of the hub's data set (default: train)")
    parser.add_argument("--text-column", default="text", metavar="NAME", help="(default: text)")
    parser.add_argument(
        "--price-column",
        default="price",
        metavar="NAME",
        help="'' if prices stand only behind the texts' `Price is $` (default: price)",
    )
    parser.add_argument(
        "--wrap",
        action="store_true",
        help="texts are descriptions: put them into the price prompt (default: off)",
    )


def data_of(options: argparse.Namespace) -> DataSet:
    """The data set that the options name."""
    return DataSet(
        options.data,
        options.revision,
        options.split,
        options.text_column,
        options.price_column or None,
        options.wrap,
    )

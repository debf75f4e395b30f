"""Rows of a price data set: the prompt a model is given, and the true price."""

import argparse
import csv
import glob
import json
import math
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ..models import DataError
from .products import MARKER, price_prompt

MORE = "(beyond the header)"
HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+", re.ASCII)
REVISION = re.compile(r"[0-9a-f]{40}")
FORMATS = {
    ".jsonl": "text",
    ".ndjson": "text",
    ".json": "text",
    ".csv": "csv",
    ".parquet": "parquet",
}
ALLOWED = "JSON lines (.jsonl, .ndjson, .json), .csv or .parquet"


@dataclass(frozen=True)
class DataSet:
    """What to read: a local file, or a data set of the hub at a pinned revision.

    `split` is the hub's; a file has one. `price_column` None: there is none, and prices are what
    the texts themselves say. `wrap`: texts are bare descriptions, to be put into the price prompt.
    """

    name_or_path: str
    revision: str | None = None
    split: str = "train"
    text_column: str = "text"
    price_column: str | None = "price"
    wrap: bool = False

    @property
    def columns(self) -> list[str]:
        """The columns that are read."""
        return [self.text_column, *([self.price_column] if self.price_column else [])]


def plan(data: DataSet) -> tuple[str, dict[str, Any]]:
    """The reader of `datasets` and its options; DataError if it is clear that it cannot work."""
    name, path = data.name_or_path, Path(data.name_or_path)
    if not is_file(data):
        if not REVISION.fullmatch(data.revision or ""):
            raise DataError(
                f"{name}: a data set of the hub is read at a pinned revision only; give "
                "--revision with the 40 hex digits of a commit (see its page on the hub)"
            )
        return name, {"revision": data.revision, "split": data.split}
    if path.suffix.lower() not in FORMATS:
        raise DataError(f"{name}: {path.suffix or 'no suffix'!r} is unknown; allowed: {ALLOWED}")
    if not path.is_file():
        raise DataError(f"{name}: there is no such file; check the path")
    if not path.stat().st_size:
        raise DataError(f"{name}: the file is empty; give a file with rows")
    kind = FORMATS[path.suffix.lower()]
    options = {"text": json_options, "csv": csv_options, "parquet": parquet_options}[kind]
    return kind, {"data_files": glob.escape(str(path)), "split": "train", **options(path, data)}


def is_file(data: DataSet) -> bool:
    """Whether a file is meant, not a data set of the hub."""
    name, path = data.name_or_path, Path(data.name_or_path)
    return path.suffix.lower() in FORMATS or path.exists() or not HUB_NAME.fullmatch(name)


def json_options(path: Path, data: DataSet) -> dict[str, Any]:
    """One object a line; bytes that are not UTF-8 become an escape that JSON does not know."""
    with path.open("rb") as file:
        if file.read(64).lstrip(b"\xef\xbb\xbf \r\n\t").startswith(b"["):
            raise DataError(f"{path}: a JSON array; write JSON lines, one object a line")
    return {"encoding": "utf-8-sig", "encoding_errors": "backslashreplace"}


def csv_options(path: Path, data: DataSet) -> dict[str, Any]:
    """Cells as they are written; a nameless last column shows rows with more cells than names.

    Without it pandas reads `text,price` / `A pan,1,299` as the text 1 and the price 299.
    """
    from datasets import Features, Value

    with path.open(encoding="utf-8-sig", newline="") as file:
        names = next(csv.reader(file), [])
    check_columns(names, data)
    names.append(MORE)
    features = Features({name: Value("string") for name in names})
    read = {"names": names, "header": None, "skiprows": 1, "keep_default_na": False}
    return {"features": features, "encoding": "utf-8-sig", **read}


def parquet_options(path: Path, data: DataSet) -> dict[str, Any]:
    """Only the columns that are asked for."""
    from pyarrow import parquet

    check_columns(parquet.read_schema(path).names, data)
    return {"columns": data.columns}


def check_columns(names: list[str], data: DataSet) -> None:
    """DataError if a column is not there."""
    if missing := [name for name in data.columns if name not in names]:
        option = "--text-column" if missing[0] == data.text_column else "--price-column"
        raise DataError(
            f"{data.name_or_path}: there is no column {missing[0]!r}; give {option} one of "
            + ", ".join(names)
            + ("" if missing[0] == data.text_column else ", or '' if none of them is a price")
        )


def rows_in(data: DataSet) -> int | None:
    """About how many rows there are, for a progress bar; None where only reading would tell.

    Exact but for a cell of a CSV file that goes over several lines.
    """
    path = Path(data.name_or_path)
    kind = FORMATS.get(path.suffix.lower())
    if kind is None or not path.is_file():
        return None
    with suppress(OSError, ValueError):  # the reader will say what is wrong
        if kind == "parquet":
            from pyarrow import parquet

            return int(parquet.read_metadata(path).num_rows)
        with path.open("rb") as file:
            lines = sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))
        return lines - (kind == "csv")
    return None


BATCH = 1000
TOO_MANY = "more cells than the header has names (quote a cell with commas)"
HUB_MEND = "check its name, --revision and --split, the network, and the login (`hf auth login`)"

Cells = tuple[object, object]  # what stands in the text's and in the price's column


def read_cells(data: DataSet) -> Iterator[Cells | str]:
    """Each row's cells in order, or in one clause why they cannot be read.

    JSON is parsed here, line by line: the JSON reader of `datasets` gives up a whole block for
    one broken line, and turns numbers into text where one row of the block has text.
    DataError in one line if the file or data set cannot be read, or has no such column or row.
    """
    empty = True
    try:
        kind, options = plan(data)
        for table in stream(kind, options):
            yield from lines(table, data, empty) if kind == "text" else cells(table, data)
            empty = False
    except DataError:
        raise
    # Below `datasets` lie pandas, Arrow and HTTP libraries, whose errors share no base class.
    except Exception as error:
        cause = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        mend = "mend the file or convert it anew" if is_file(data) else HUB_MEND
        raise DataError(f"{data.name_or_path}: cannot be read ({cause}); {mend}") from None
    if empty:
        raise DataError(f"{data.name_or_path}: there is no row in it; give a file with rows")


def stream(kind: str, options: dict[str, Any]) -> Iterator[Any]:
    """Arrow tables of at most BATCH rows."""
    import datasets

    datasets.logging.set_verbosity(datasets.logging.CRITICAL)  # it logs what it also raises
    with TemporaryDirectory() as scratch:  # for its locks, which it would leave in the home
        rows = datasets.load_dataset(kind, streaming=True, cache_dir=scratch, **options)
        yield from rows.with_format("arrow").iter(BATCH)


def cells(table: Any, data: DataSet) -> Iterator[Cells | str]:
    """The cells of a table's columns."""
    check_columns(table.column_names, data)
    columns = [table[name].to_pylist() for name in data.columns]
    prices = columns[1] if data.price_column else [None] * len(table)
    more = table[MORE].to_pylist() if MORE in table.column_names else [None] * len(table)
    for text, price, rest in zip(columns[0], prices, more, strict=True):
        yield TOO_MANY if rest else (text, price)


def lines(table: Any, data: DataSet, first: bool) -> Iterator[Cells | str]:
    """The cells of JSON lines; the columns are those of any of the first rows."""
    rows = [parse(line) for line in table["text"].to_pylist()]
    objects = [row for row in rows if isinstance(row, dict)]
    if first and objects:
        check_columns(list({name: None for row in objects for name in row}), data)
    for row in rows:
        if isinstance(row, str):
            yield row
        else:
            yield row.get(data.text_column), row.get(data.price_column or "")


def parse(line: str) -> dict[str, Any] | str:
    """The object of a line, or why it is none."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        return "blank line" if not line.strip() else f"not JSON ({error})"
    return row if isinstance(row, dict) else "not a JSON object"


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

"""Rows of a price data set: prompt and true price.

Local files are read without `datasets`: its JSON reader drops a block for one broken line, makes
texts of numbers beside texts; its CSV reader takes `A pan,1,299` for the text 1 and the price 299.
"""

import argparse
import csv
import json
import math
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from itertools import chain, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ..errors import DataError
from .products import MARKER, price_prompt

BATCH = 1000  # rows that are in memory at a time

_SURROGATE = re.compile("[\ud800-\udfff]")
# What training texts have after the marker, and a text cell that is a price: no sign, no currency,
# no thousands separators; `1,299.00` may be 1299 or 1.299 where a comma is the decimal point.
_PLAIN_NUMBER = re.compile(r"[0-9]+(\.[0-9]*)?|\.[0-9]+")

Cells = tuple[object, object]  # the values in the columns of the text and of the price


@dataclass(frozen=True)
class DataSet:
    """What to read: a local file, or a data set of the hub at a pinned revision.

    `split` is the hub's; a file has one. `price_column` None: the texts themselves contain the
    prices. `wrap`: texts are bare descriptions, to be put into the price prompt.
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


@dataclass(frozen=True)
class Row:
    """One thing to be priced; `number` counts the data set's rows from 0, bad ones too."""

    number: int
    text: str  # ends in `Price is $`
    price: float | None  # in dollars; None: neither the price's column nor the text has one
    answer: str = ""  # what the data set's text has after `Price is $`


@dataclass(frozen=True)
class BadRow:
    """A row that cannot be used, and why, in one clause."""

    number: int
    reason: str


def read_rows(data: DataSet) -> Iterator[Row | BadRow]:
    """All rows in the data set's order, streamed; DataError in one line if it cannot be read.

    A text is cut after its last `Price is $`; one without is a bad row, unless `data.wrap` makes
    a prompt of it. The price is the column's, or without one what the text has after the cut.
    """
    for number, cells in enumerate(_read_cells(data)):
        yield BadRow(number, cells) if isinstance(cells, str) else make_row(number, cells, data)


def rows_in(data: DataSet) -> int | None:
    """Lines of the file as rows, for a progress bar; None where only reading would show it."""
    path = Path(data.name_or_path)
    suffix = path.suffix.lower()
    with suppress(OSError, ValueError):  # read_rows reports what is wrong
        if suffix == ".parquet":
            from pyarrow import parquet

            return int(parquet.read_metadata(path).num_rows)
        if suffix in _READERS:
            with path.open("rb") as file:
                blocks = iter(lambda: file.read(1 << 20), b"")
                return sum(block.count(b"\n") for block in blocks) - (suffix == ".csv")
    return None


def make_row(number: int, cells: Cells, data: DataSet) -> Row | BadRow:
    """Check a text and a price as they are in the data set."""
    text, price = cells
    if text in (None, ""):
        return BadRow(number, "no text")
    if not isinstance(text, str):
        return BadRow(number, f"text {_short(text)} is not a string")
    if not text.isascii() and _SURROGATE.search(text):  # no tokenizer takes it
        return BadRow(number, "text has half a surrogate pair, which is not a character")
    if data.wrap:
        if MARKER in text:
            return BadRow(number, f"text to be wrapped has {MARKER!r} already")
        text = price_prompt(text)
    head, marker, answer = text.rpartition(MARKER)
    if not marker:
        return BadRow(number, f"text has no {MARKER!r} (--wrap makes prompts of descriptions)")
    if answer and not _PLAIN_NUMBER.fullmatch(answer):
        return BadRow(number, f"{_short(answer)} after {MARKER!r} is not a number")
    if price is None and data.price_column and not answer:
        return BadRow(number, "no price")
    dollars = _dollars(answer or None if price is None else price)
    if isinstance(dollars, str):
        return BadRow(number, dollars)
    return Row(number, head + marker, dollars, answer)


def _dollars(price: object) -> float | str | None:
    """The price in dollars, None for None, or in one clause why it is not a price."""
    if price is None:
        return None
    if isinstance(price, str) and _PLAIN_NUMBER.fullmatch(price):
        price = float(price)
    if isinstance(price, bool) or not isinstance(price, int | float | Decimal):
        return f"price {_short(price)} is not a number"
    dollars = math.inf
    with suppress(OverflowError):
        dollars = float(price)
    if not math.isfinite(dollars):
        return f"price {_short(price)} is not finite"
    return dollars if dollars >= 0 else f"price {_short(price)} is negative"


def _short(value: object) -> str:
    return f"{value!r:.40}"


def _is_file(data: DataSet) -> bool:
    name, path = data.name_or_path, Path(data.name_or_path)
    is_hub_name = re.fullmatch(r"[\w.-]+/[\w.-]+", name, re.ASCII)
    return path.suffix.lower() in _READERS or path.exists() or not is_hub_name


def _read_cells(data: DataSet) -> Iterator[Cells | str]:
    """Each row's cells in order, or in one clause why they cannot be read."""
    cells: Cells | str | None = None
    try:
        for cells in _open(data):
            yield cells
    except DataError:
        raise
    # The errors of csv, Arrow, `datasets` and its HTTP libraries share no base class.
    except Exception as error:
        cause = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        fix = "repair the file or convert it again"
        if not _is_file(data):
            fix = "check its name, --revision and --split, the network, and `hf auth login`"
        raise DataError(f"{data.name_or_path}: cannot be read ({cause}); {fix}") from None
    if cells is None:
        raise DataError(f"{data.name_or_path}: there is no row in it; give a file with rows")


def _open(data: DataSet) -> Iterator[Cells | str]:
    name, path = data.name_or_path, Path(data.name_or_path)
    if not _is_file(data):
        if not re.fullmatch("[0-9a-f]{40}", data.revision or ""):
            raise DataError(
                f"{name}: a data set of the hub is read at a pinned revision only; give "
                "--revision with the 40 hex digits of a commit (see its page on the hub)"
            )
        return _read_hub(data)
    if path.suffix.lower() not in _READERS:
        raise DataError(
            f"{name}: {path.suffix or 'no suffix'!r} is unknown; allowed: JSON lines (.jsonl, "
            ".ndjson, .json), .csv or .parquet"
        )
    if not path.is_file():
        raise DataError(f"{name}: there is no such file; check the path")
    if not path.stat().st_size:
        raise DataError(f"{name}: the file is empty; give a file with rows")
    return _READERS[path.suffix.lower()](path, data)


def _check_columns(names: list[str], data: DataSet) -> None:
    for column in data.columns:
        if names.count(column) > 1:
            raise DataError(f"{data.name_or_path}: two columns are named {column!r}; rename one")
        if column not in names:
            option, rest = "--text-column", ""
            if column != data.text_column:
                option, rest = "--price-column", ", or '' if none of them is a price"
            missing = f"{data.name_or_path}: there is no column {column!r}"
            raise DataError(f"{missing}; give {option} one of {', '.join(names)}{rest}")


def _read_json_lines(path: Path, data: DataSet) -> Iterator[Cells | str]:
    """One object a line; the columns are the keys of the first BATCH rows."""
    # Bytes that are not UTF-8 become an escape that JSON does not know.
    with path.open(encoding="utf-8-sig", errors="backslashreplace", newline="\n") as file:
        if file.read(64).lstrip().startswith("["):
            raise DataError(f"{path}: a JSON array; write JSON lines, one object a line")
        file.seek(0)
        first = list(islice(map(_parse_line, file), BATCH))
        if names := {name: None for row in first if isinstance(row, dict) for name in row}:
            _check_columns(list(names), data)
        for row in chain(first, map(_parse_line, file)):
            if isinstance(row, str):
                yield row
            else:
                yield row.get(data.text_column), row.get(data.price_column or "")


def _parse_line(line: str) -> dict[str, Any] | str:
    """The object of a line, or why there is none."""
    try:
        row = json.loads(line.rstrip("\r\n"))
    except (ValueError, RecursionError) as error:
        return "blank line" if not line.strip() else f"not JSON ({error})"
    return row if isinstance(row, dict) else "not a JSON object"


def _read_csv(path: Path, data: DataSet) -> Iterator[Cells | str]:
    """Cells as they are written; a cell that a row lacks is empty, blank lines are no rows."""
    csv.field_size_limit(2**31 - 1)  # characters of a cell; it is 131,072 by default
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, strict=True)
        names = next(reader, [])
        _check_columns(names, data)
        places = [names.index(column) for column in data.columns]
        try:
            for cells in filter(None, reader):
                if len(cells) > len(names):
                    yield "more cells than the header has names (quote a cell with commas)"
                    continue
                cells += [""] * (len(names) - len(cells))
                yield cells[places[0]], cells[places[1]] if data.price_column else None
        except csv.Error as error:
            raise ValueError(f"line {reader.line_num}: {error}") from None


def _read_parquet(path: Path, data: DataSet) -> Iterator[Cells | str]:
    from pyarrow import parquet

    file = parquet.ParquetFile(path)
    _check_columns(file.schema_arrow.names, data)
    yield from _table_cells(file.iter_batches(BATCH, columns=data.columns), data)


def _read_hub(data: DataSet) -> Iterator[Cells | str]:
    import datasets

    datasets.logging.set_verbosity(datasets.logging.CRITICAL)  # it logs what it also raises
    which: dict[str, Any] = {"revision": data.revision, "split": data.split, "streaming": True}
    with TemporaryDirectory() as scratch:  # for its locks, which it would leave in the home
        rows = datasets.load_dataset(data.name_or_path, cache_dir=scratch, **which)
        yield from _table_cells(rows.with_format("arrow").iter(BATCH), data)


def _table_cells(tables: Iterable[Any], data: DataSet) -> Iterator[Cells | str]:
    for table in tables:
        _check_columns(table.schema.names, data)
        columns = [table.column(name).to_pylist() for name in data.columns]
        prices = columns[1] if data.price_column else [None] * len(columns[0])
        yield from zip(columns[0], prices, strict=True)


_READERS: dict[str, Callable[[Path, DataSet], Iterator[Cells | str]]] = {
    **dict.fromkeys((".jsonl", ".ndjson", ".json"), _read_json_lines),
    ".csv": _read_csv,
    ".parquet": _read_parquet,
}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare which data set is to be read."""
    option = parser.add_argument
    option("data", metavar="DATA", help=".jsonl, .csv or .parquet, or OWNER/NAME")
    option("--revision", help="the hub's data set at this commit: 40 hex digits (default: none)")
    option("--split", default="train", help="of the hub's data set (default: train)")
    option("--text-column", default="text", metavar="NAME", help="(default: text)")
    price = "'' if only the texts' `Price is $` is followed by prices (default: price)"
    option("--price-column", default="price", metavar="NAME", help=price)
    option(
        "--wrap",
        action="store_true",
        help="put the texts, descriptions, into price prompts (default: off)",
    )


def data_of(options: argparse.Namespace) -> DataSet:
    """The data set that the options name."""
    columns = options.text_column, options.price_column or None
    return DataSet(options.data, options.revision, options.split, *columns, options.wrap)

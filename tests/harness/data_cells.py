"""Cells of a data set, a row at a time, read through `datasets` as a stream: flat memory."""

import json
from collections.abc import Iterator
from tempfile import TemporaryDirectory
from typing import Any

from .data_sets import MORE, DataSet, check_columns, is_file, plan
from .models import DataError

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

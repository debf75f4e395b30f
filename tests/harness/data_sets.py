"""Which data set is read, and how `datasets` is to read it; a mistake is found before it starts."""

import csv
import glob
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .models import DataError

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

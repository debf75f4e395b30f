"""Reading price data sets: the same rows from every format, and each fault with its sentence."""

import csv
import json
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from tests.harness.errors import DataError
from tests.harness.prices.dataset import BadRow, DataSet, Row, read_rows, rows_in
from tests.harness.prices.products import MARKER, price_prompt, training_text

PAN = price_prompt('A pan, 28 cm "Øre"\nwith lid')
LINES: list[dict[str, Any]] = [
    {"text": PAN, "price": 26.5, "note": 1},
    {"text": training_text("A pot", 374.49), "price": 374.49, "note": None},
    {"text": None, "price": 3, "note": 2},
    {"text": PAN, "price": 0, "note": 3},
]
ROWS = [
    Row(0, PAN, 26.5),
    Row(1, price_prompt("A pot"), 374.49, "374.00"),
    BadRow(2, "no text"),
    Row(3, PAN, 0.0),
]


def write(path: Path, rows: list[dict[str, Any]]) -> DataSet:
    """The rows in the format of the path's suffix."""
    if path.suffix == ".parquet":
        parquet.write_table(pa.Table.from_pylist(rows), path, row_group_size=3)
    elif path.suffix == ".csv":
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)
    else:
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        path.write_text(text, encoding="utf-8")
    return DataSet(str(path))


@pytest.mark.parametrize(
    "name", ["a.jsonl", "a.json", "a.ndjson", "A.CSV", "a[1] *.csv", "a.parquet"]
)
def test_every_format_gives_the_same_rows(tmp_path: Path, name: str) -> None:
    data = write(tmp_path / name.lower(), LINES)
    Path(data.name_or_path).rename(tmp_path / name)
    assert list(read_rows(DataSet(str(tmp_path / name)))) == ROWS


def test_byte_order_marks_and_carriage_returns_are_not_content(tmp_path: Path) -> None:
    for name in ("a.jsonl", "a.csv"):
        data = write(tmp_path / name, [{"text": "A pan. Price is $", "price": 5}])
        path = Path(data.name_or_path)
        lines = path.read_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
        path.write_bytes(b"\xef\xbb\xbf" + lines)
        assert list(read_rows(data)) == [Row(0, "A pan. Price is $", 5.0)]


@pytest.mark.parametrize("suffix", ["jsonl", "csv", "parquet"])
def test_columns_are_named_and_the_price_may_be_in_the_text(tmp_path: Path, suffix: str) -> None:
    rows = [{"a": training_text("A pot", 12), "b": 12.3}, {"a": PAN, "b": 1.0}]
    path = str(write(tmp_path / f"a.{suffix}", rows).name_or_path)
    named = read_rows(DataSet(path, text_column="a", price_column="b"))
    assert [row.price for row in named if isinstance(row, Row)] == [12.3, 1.0]
    alone = read_rows(DataSet(path, text_column="a", price_column=None))
    assert [row.price for row in alone if isinstance(row, Row)] == [12.0, None]


def test_text_is_cut_behind_its_last_marker(tmp_path: Path) -> None:
    text = "Old Price is $9, new Price is $"
    data = write(tmp_path / "a.jsonl", [{"text": f"{text}7.00", "price": None}])
    assert list(read_rows(data)) == [Row(0, text, 7.0, "7.00")]


def test_descriptions_are_wrapped_by_option(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", [{"text": "A pan", "price": 5}, {"text": PAN, "price": 5}])
    bad = BadRow(1, "text to be wrapped has 'Price is $' already")
    rows = list(read_rows(DataSet(path.name_or_path, wrap=True)))
    assert rows == [Row(0, price_prompt("A pan"), 5.0), bad]


def line(**row: Any) -> str:
    """A row that is good but for what is given."""
    return json.dumps({"text": PAN, "price": 5} | row)


BAD_LINES = {
    "no text": line(text=None),
    "no text ": line(text=""),
    "text 7 is not a string": line(text=7),
    "text has half a surrogate pair": line(text="\ud800 Price is $"),
    "text has no 'Price is $' (--wrap": line(text="A pan"),
    "' cheap' after 'Price is $' is": line(text=f"{PAN} cheap"),
    "'1,299.00' after 'Price is $' is": line(text=f"{PAN}1,299.00"),
    "no price": line(price=None),
    "price 'n/a' is not a number": line(price="n/a"),
    "price '1,299.00' is not a number": line(price="1,299.00"),
    "price '$12' is not a number": line(price="$12"),
    "price '٣' is not a number": line(price="٣"),
    "price True is not a number": line(price=True),
    "price [5] is not a number": line(price=[5]),
    "price -3 is negative": line(price=-3),
    "price nan is not finite": line(price=float("nan")),
    "price inf is not finite": line(price=float("inf")),
    "price 1000": line(price=10**400),
    "not JSON (Expecting property name": "{broken",
    "not JSON (Unterminated string": line()[:30],
    "not JSON (Extra data": line() + line(),
    "not a JSON object": "[5]",
    "blank line": "",
}


@pytest.mark.parametrize("reason", BAD_LINES)
def test_bad_row_is_named_and_stops_nothing(tmp_path: Path, reason: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(f"{line()}\n{BAD_LINES[reason]}\n{line()}\n", encoding="utf-8")
    before, bad, after = read_rows(DataSet(str(path)))
    assert (before, after) == (Row(0, PAN, 5.0), Row(2, PAN, 5.0))
    assert isinstance(bad, BadRow) and bad.number == 1 and bad.reason.startswith(reason.strip())


def test_bytes_that_are_not_utf8_are_a_bad_row(tmp_path: Path) -> None:
    content = b'{"text": "\xff Price is $", "price": 1}\n' + line().encode()
    (tmp_path / "a.jsonl").write_bytes(content)
    bad, good = read_rows(DataSet(str(tmp_path / "a.jsonl")))
    assert isinstance(bad, BadRow) and "not JSON" in bad.reason and isinstance(good, Row)


def test_csv_row_with_a_comma_too_many_is_not_shifted(tmp_path: Path) -> None:
    """`datasets` reads the first as text 1 and price 299, if all rows are like it."""
    long = "x" * 200_000 + MARKER
    (tmp_path / "a.csv").write_text(
        f"text,price\nA {MARKER},1,299\nB {MARKER},$2\n\n{MARKER}\n{long},5\n"
    )
    shifted, currency, short, good = read_rows(DataSet(str(tmp_path / "a.csv")))
    assert isinstance(shifted, BadRow) and "more cells than the header has names" in shifted.reason
    assert currency == BadRow(1, "price '$2' is not a number")
    assert short == BadRow(2, "price '' is not a number")
    assert good == Row(3, long, 5.0)


@pytest.mark.parametrize("suffix", ["jsonl", "csv", "parquet"])
def test_numbers_are_stable_over_batches_and_bad_rows(tmp_path: Path, suffix: str) -> None:
    rows = [{"text": None if n % 7 == 3 else PAN, "price": float(n)} for n in range(2501)]
    data = write(tmp_path / f"a.{suffix}", rows)
    read = list(read_rows(data))
    assert [row.number for row in read] == list(range(2501))
    assert all(row.price == row.number for row in read if isinstance(row, Row))
    assert [row.number for row in read if isinstance(row, BadRow)] == list(range(3, 2501, 7))
    assert list(islice(read_rows(data), 1200, None)) == read[1200:]
    more_lines = sum(PAN.count("\n") for row in rows if row["text"]) if suffix == "csv" else 0
    assert rows_in(data) == 2501 + more_lines  # for the progress bar
    plain = write(tmp_path / f"b.{suffix}", [{"text": "Price is $", "price": 1.0}] * 1234)
    assert rows_in(plain) == 1234 and rows_in(DataSet("nobody/nothing")) is None


FILES: dict[str, tuple[bytes | None, str]] = {
    "missing.jsonl": (None, "there is no such file; check the path"),
    "a.xlsx": (b"x", r"'\.xlsx' is unknown; allowed: JSON lines .*, \.csv or \.parquet"),
    "plain": (b"x", "'no suffix' is unknown"),
    "empty.jsonl": (b"", "the file is empty; give a file with rows"),
    "empty.csv": (b"", "the file is empty"),
    "empty.parquet": (b"", "the file is empty"),
    "header.csv": (b"text,price\n", "there is no row in it; give a file with rows"),
    "array.json": (b'[{"text": "a"}]', "a JSON array; write JSON lines, one object a line"),
    "quote.csv": (
        b'text,price\na,1\n"b,2\n',
        r"cannot be read \(ValueError: line 3: unexpected end of data\); repair the file",
    ),
    "twice.csv": (b"text,price,price\na,1,2\n", "two columns are named 'price'; rename one"),
    "latin.csv": (
        b"text,price\n\xff,1\n",
        "cannot be read .*UnicodeDecodeError.*; repair the file",
    ),
    "cut.parquet": (b"PAR1 and no more", "cannot be read .*; repair the file or convert it again"),
    "text.csv": (b"name,price\na,1\n", "no column 'text'; give --text-column one of name, price$"),
    "price.csv": (b"text,cost\na,1\n", "no column 'price'; give .* one of text, cost, or ''"),
    "keys.jsonl": (b'{"a": 1}\n{"b": 1}\n', "no column 'text'; give --text-column one of a, b$"),
}


@pytest.mark.parametrize("name", FILES)
def test_file_that_cannot_be_read_is_named_in_one_line(
    tmp_path: Path, name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    content, message = FILES[name]
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        list(read_rows(DataSet(str(tmp_path / name))))
    assert str(caught.value).startswith(f"{tmp_path / name}: ")
    assert "\n" not in str(caught.value) and capfd.readouterr() == ("", "")


def test_damaged_parquet_is_named(tmp_path: Path) -> None:
    data = write(tmp_path / "a.parquet", [{"text": PAN * 50, "price": float(n)} for n in range(99)])
    path = Path(data.name_or_path)
    whole = path.read_bytes()
    path.write_bytes(whole[:20] + bytes(80) + whole[100:])
    with pytest.raises(DataError, match=r"a\.parquet: cannot be read \(.*\); repair the file"):
        list(read_rows(data))


def test_hub_is_read_at_a_pinned_revision_only() -> None:
    for revision in (None, "main", "a" * 39, "A" * 40):
        with pytest.raises(DataError, match=r"^ed-donner/pricer-data: .* pinned .* --revision"):
            list(read_rows(DataSet("ed-donner/pricer-data", revision)))
    with pytest.raises(DataError, match=r"^nobody/nothing: cannot be read .* check its name"):
        list(read_rows(DataSet("nobody/nothing", "a" * 40)))

"""The rows that go over the token budget, written batch by batch; a file is whole or not there."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.harness.models import DataError
from tests.harness.secrets import scrub

from .count import Counted

Finding = dict[str, Any]
Write = Callable[[list[Finding]], None]


def findings(counted: Counted, limit: int) -> list[Finding]:
    """The rows of a batch that go over a limit or are bad, in the data set's order."""
    pairs = zip(counted.rows, counted.tokens, strict=True)
    found: list[Finding] = [
        {
            "row": row.number,
            "tokens": tokens,
            "over_limit": tokens > limit,
            "price_lost": row.number in counted.lost,
            "bad": None,
        }
        for row, tokens in pairs
        if tokens > limit or row.number in counted.lost
    ]
    nothing = {"tokens": None, "over_limit": None, "price_lost": None}
    found += [{"row": row.number, **nothing, "bad": row.reason} for row in counted.bad]
    return sorted(found, key=lambda finding: finding["row"])


@contextmanager
def findings_file(path: Path | None) -> Iterator[Write]:
    """A function that writes findings to the file, which takes its place at the end.

    DataError for a suffix other than .jsonl and .parquet, or a place that cannot be written.
    """
    if path is None:
        yield lambda found: None
        return
    if path.suffix not in WRITERS:
        raise DataError(f"--out {path}: give a file ending in {' or '.join(WRITERS)}")
    part = path.with_name(f"{path.name}.part")
    try:
        with WRITERS[path.suffix](part) as write:
            yield write
        part.replace(path)
    except OSError as error:
        raise DataError(f"--out {path}: {error.strerror or error}; give another place") from None
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def json_lines(path: Path) -> Iterator[Write]:
    """One object a line."""
    with path.open("w", encoding="utf-8") as file:
        yield lambda found: file.writelines(
            scrub(json.dumps(finding, ensure_ascii=False)) + "\n" for finding in found
        )


@contextmanager
def parquet(path: Path) -> Iterator[Write]:
    """One row group a batch."""
    import pyarrow as pa
    from pyarrow.parquet import ParquetWriter

    whole, flag = pa.int64(), pa.bool_()
    columns = {"row": whole, "tokens": whole, "over_limit": flag, "price_lost": flag}
    schema = pa.schema({**columns, "bad": pa.string()})
    with ParquetWriter(path, schema) as writer:
        yield (
            lambda found: writer.write_table(pa.Table.from_pylist(found, schema)) if found else None
        )


WRITERS = {".jsonl": json_lines, ".parquet": parquet}

"""Rows that commands read ahead, and write: as JSON lines, or parquet with typed columns."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from tests.harness.files import write_atomically
from tests.harness.redaction import redact

T = TypeVar("T")
Row = Mapping[str, Any]
Columns = Callable[[Any], dict[str, Any]]  # of the module pyarrow: the type of each column


def one_ahead(items: Iterable[T]) -> Iterator[T]:
    """The same items; a thread makes the next one while the caller works on the one before."""
    stream = iter(items)
    with ThreadPoolExecutor(1) as thread:
        coming = thread.submit(next, stream, None)
        while (item := coming.result()) is not None:
            coming = thread.submit(next, stream, None)
            yield item


def write_rows(path: Path, batches: Iterable[Iterable[Row]], columns: Columns) -> None:
    """Write the rows as they come, all of them or nothing; the suffix says how.

    `.parquet` gets a row group for each batch, any other suffix a JSON object a line.
    """
    if path.suffix != ".parquet":
        write_lines(path, (row for batch in batches for row in batch))
        return
    import pyarrow as pa
    from pyarrow.parquet import ParquetWriter

    schema = pa.schema(columns(pa))

    def write(scratch: Path) -> None:
        with ParquetWriter(scratch, schema) as writer:
            for batch in batches:
                if table := pa.Table.from_pylist(list(batch), schema):
                    writer.write_table(table)

    write_atomically(path, write)


def write_lines(path: Path, rows: Iterable[Row]) -> None:
    """Write JSON lines, all of them or nothing."""

    def write(scratch: Path) -> None:
        with scratch.open("w", encoding="utf-8") as stream:
            stream.writelines(redact(json.dumps(row, ensure_ascii=False)) + "\n" for row in rows)

    write_atomically(path, write)

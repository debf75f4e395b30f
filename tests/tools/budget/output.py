"""The rows that go over the token budget, written batch by batch to a file."""

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from tests.harness.errors import DataError
from tests.harness.files import write_atomically
from tests.harness.redaction import redact

from .count import Counted

Finding = dict[str, Any]  # row, tokens, over_limit, price_lost, bad
Batches = Iterable[list[Finding]]


def findings(counted: Counted, limit: int) -> list[Finding]:
    """The rows of a batch that go over a limit or are bad, in the data set's order."""
    found: list[Finding] = [
        {
            "row": row.number,
            "tokens": tokens,
            "over_limit": tokens > limit,
            "price_lost": row.number in counted.lost,
            "bad": None,
        }
        for row, tokens in zip(counted.rows, counted.tokens, strict=True)
        if tokens > limit or row.number in counted.lost
    ]
    uncounted = {"tokens": None, "over_limit": None, "price_lost": None}
    found += [{"row": row.number, **uncounted, "bad": row.reason} for row in counted.bad]
    return sorted(found, key=lambda finding: finding["row"])


def write_findings(path: Path | None, batches: Batches) -> None:
    """Write the findings as they come; whatever ends the run early leaves `path` as it was.

    Without a path the batches are only consumed. DataError for a suffix other than .jsonl and
    .parquet, or a path that cannot be written.
    """
    if path is None:
        for _ in batches:
            pass
        return
    if path.suffix not in _WRITERS:
        raise DataError(f"--out {path}: give a file ending in {' or '.join(_WRITERS)}")
    try:
        write_atomically(path, lambda scratch: _WRITERS[path.suffix](scratch, batches))
    except OSError as error:
        reason = error.strerror or error
        raise DataError(f"--out {path}: {reason}; give another file") from None


def _write_json_lines(path: Path, batches: Batches) -> None:
    with path.open("w", encoding="utf-8") as file:
        for batch in batches:
            file.writelines(redact(json.dumps(row, ensure_ascii=False)) + "\n" for row in batch)


def _write_parquet(path: Path, batches: Batches) -> None:
    """One row group a batch."""
    import pyarrow as pa
    from pyarrow.parquet import ParquetWriter

    types = [pa.int64(), pa.int64(), pa.bool_(), pa.bool_(), pa.string()]
    names = ["row", "tokens", "over_limit", "price_lost", "bad"]
    schema = pa.schema(list(zip(names, types, strict=True)))
    with ParquetWriter(path, schema) as writer:
        for batch in filter(None, batches):
            writer.write_table(pa.Table.from_pylist(batch, schema))


_WRITERS: dict[str, Callable[[Path, Batches], None]] = {
    ".jsonl": _write_json_lines,
    ".parquet": _write_parquet,
}

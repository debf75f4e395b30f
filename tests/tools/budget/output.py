"""The rows that go over the token budget, written batch by batch to a file."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.harness.errors import DataError
from tests.tools.rows import write_rows

from .count import LOSSES, Counted

Finding = dict[str, Any]  # row, tokens, over_limit, what is lost, bad
SUFFIXES = (".jsonl", ".parquet")


def findings(counted: Counted, limit: int) -> list[Finding]:
    """The rows of a batch that go over a limit or are bad, in the data set's order."""
    losing = frozenset().union(*counted.lost.values())
    rows: list[Finding] = [
        {
            "row": row.number,
            "tokens": tokens,
            "over_limit": tokens > limit,
            **{f"{what}_lost": row.number in counted.lost[what] for what in LOSSES},
            "bad": None,
        }
        for row, tokens in zip(counted.rows, counted.tokens, strict=True)
        if tokens > limit or row.number in losing
    ]
    uncounted = dict.fromkeys(("tokens", "over_limit", *(f"{what}_lost" for what in LOSSES)))
    rows += [{"row": row.number, **uncounted, "bad": row.reason} for row in counted.bad]
    return sorted(rows, key=lambda row: row["row"])


def write_findings(path: Path | None, batches: Iterable[list[Finding]]) -> None:
    """Write the findings as they come; whatever ends the run early leaves `path` as it was.

    Without a path the batches are only consumed. DataError for a suffix other than .jsonl and
    .parquet, or a path that cannot be written.
    """
    if path is None:
        for _ in batches:
            pass
        return
    if path.suffix not in SUFFIXES:
        raise DataError(f"--out {path}: give a file ending in {' or '.join(SUFFIXES)}")
    try:
        write_rows(path, batches, _columns)
    except OSError as error:
        reason = error.strerror or error
        raise DataError(f"--out {path}: {reason}; give another file") from None


def _columns(pa: Any) -> dict[str, Any]:
    flags = {name: pa.bool_() for name in ("over_limit", *(f"{what}_lost" for what in LOSSES))}
    return {"row": pa.int64(), "tokens": pa.int64(), **flags, "bad": pa.string()}

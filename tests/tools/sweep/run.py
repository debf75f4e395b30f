"""A sweep: rows in, answers kept as they come, and at the end one file with every row once."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.harness.atomic import write_atomically
from tests.harness.generation import decoded
from tests.harness.models import Device
from tests.harness.price_rows import BadRow, Row
from tests.harness.prices import extract_price, price_token_ids

from .batches import Batch, windows
from .prefetch import ahead
from .scoring import Ask, Room, SweepError, answers
from .store import Store, write_lines

Read = Callable[[Sequence[int]], float | None]


@dataclass(frozen=True)
class Cut:
    """How the stream is cut: rows of a window, positions of a batch, tokens of a text."""

    window: int
    batch_tokens: int
    limit: int


@dataclass
class Sweep:
    """One process's share of a sweep, and what it has seen so far."""

    tokenizer: Any
    store: Store
    read: Read
    done: set[int]  # numbers of rows that the folder held at the start
    said: Callable[[int], object]  # hears how many more rows are done with
    seen: set[int] = field(default_factory=set)  # numbers of all rows, the other processes' too
    rows: dict[int, Row] = field(default_factory=dict)  # asked and not answered

    def batches(self, stream: Iterable[Row | BadRow], cut: Cut) -> Iterator[Batch]:
        """Batches of this process that are not done; its bad rows are kept at once.

        Batches are dealt like cards, after they were made: so every process makes the same ones,
        and neither their number nor what is done changes which prompts stand together.
        """
        own, world = self.store.rank, self.store.world
        made = windows(stream, self.tokenizer, cut.window, cut.batch_tokens, cut.limit)
        for window in ahead(made):
            self.seen |= window.numbers
            if window.index % world == own:
                new = [row for row in window.bad if row.number not in self.done]
                self.store.add({"number": row.number, "reason": row.reason} for row in new)
                self.said(len(new))
            for place, batch in enumerate(window.batches, start=window.index):
                if place % world == own and not self.done.issuperset(batch.numbers):
                    self.rows |= {number: window.rows[number] for number in batch.numbers}
                    yield batch

    def result(self, number: int, tokens: Sequence[int]) -> dict[str, Any]:
        """The line of an answered row."""
        row = self.rows.pop(number)
        price = self.read(tokens)
        error = None if price is None or row.price is None else abs(price - row.price)
        return {
            "number": number,
            "price": row.price,
            "prediction": price,
            "error": error,
            "tokens": list(tokens),
            "reply": decoded(self.tokenizer, tokens),
        }


def reader(tokenizer: Any, method: str) -> Read:
    """How new tokens are read as a price; by `score` the one token must be nothing but digits."""
    prices = price_token_ids(tokenizer)

    def read(tokens: Sequence[int]) -> float | None:
        if method == "score" and tokens[0] not in prices:
            return None
        return extract_price(decoded(tokenizer, tokens))

    return read


def up_to_end(tokens: Sequence[int], ends: Sequence[int]) -> list[int]:
    """The tokens up to the first that ends the answer, this one too; pads follow it."""
    for position, token in enumerate(tokens):
        if token in ends:
            return list(tokens[: position + 1])
    return list(tokens)


def sweep(
    share: Sweep,
    stream: Iterable[Row | BadRow],
    cut: Cut,
    ask: Ask,
    device: Device,
    ends: Sequence[int],
) -> None:
    """Ask this process's share of the rows; whatever ends it, the answers so far are kept."""
    share.store.begin()
    try:
        for batch, tokens in answers(
            ask, share.batches(stream, cut), Room(cut.batch_tokens), device
        ):
            found = zip(batch.numbers, tokens, strict=True)
            lines = [share.result(number, up_to_end(ids, ends)) for number, ids in found]
            share.store.add(line for line in lines if line["number"] not in share.done)
            share.said(len(lines))
    finally:
        share.store.flush()


def gathered(store: Store, seen: set[int]) -> list[dict[str, Any]] | None:
    """Every row's line in the data set's order; None while other processes still have some.

    SweepError if a row is there twice, or is none of the data set's.
    """
    places: dict[int, Path] = {}
    found: dict[int, dict[str, Any]] = {}
    for part, line in store.results():
        number = line["number"]
        if number in found:
            raise SweepError(
                f"row {number} stands in {places[number].name} and in {part.name}: delete one of "
                "them, and run the same command again"
            )
        if number not in seen:
            raise SweepError(f"row {number} of {part.name} is not in the data set: delete the part")
        found[number], places[number] = line, part
    return [found[number] for number in sorted(found)] if len(found) == len(seen) else None


def write_predictions(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """The answered rows as JSON lines or parquet, by the file's suffix."""
    if path.suffix == ".jsonl":
        write_lines(path, rows)
        return
    import pyarrow as pa
    from pyarrow import parquet

    kinds = {"number": pa.int64(), "tokens": pa.list_(pa.int64()), "reply": pa.string()}
    floats = dict.fromkeys(("price", "prediction", "error"), pa.float64())
    table = pa.Table.from_pylist(list(rows), schema=pa.schema(kinds | floats))
    write_atomically(path, lambda scratch: parquet.write_table(table, scratch))

"""Rows to batches: windows of the stream are tokenized and batched, and dealt to the processes."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from tests.harness.batches.answers import Batch, make_batches
from tests.harness.prices.dataset import BadRow, Row
from tests.tools.rows import one_ahead


@dataclass(frozen=True)
class Window:
    """Some thousand rows that follow each other, ready to be answered."""

    index: int
    rows: dict[int, Row]
    bad: list[BadRow]
    batches: tuple[Batch, ...]


def windows(
    rows: Iterable[Row | BadRow], tokenizer: Any, size: int, batch_tokens: int, limit: int
) -> Iterator[Window]:
    """Cut the stream into windows of `size` rows, tokenize and batch them.

    A text of more than `limit` tokens, special tokens not counted, is a bad row. Batches depend
    on the rows and on `batch_tokens` alone, so that every process makes the same ones.
    """
    stream = iter(rows)
    most = limit + len(tokenizer("")["input_ids"])
    for index, chunk in enumerate(iter(lambda: list(islice(stream, size)), [])):
        good = {row.number: row for row in chunk if isinstance(row, Row)}
        bad = [row for row in chunk if isinstance(row, BadRow)]
        encoded = tokenizer([row.text for row in good.values()])["input_ids"] if good else []
        prompts = dict(zip(good, encoded, strict=True))
        for number in [n for n, ids in prompts.items() if len(ids) > most]:
            bad.append(BadRow(number, f"over {limit} tokens"))
            del prompts[number], good[number]
        yield Window(index, good, bad, make_batches(prompts, batch_tokens, tokenizer.pad_token_id))


@dataclass
class Share:
    """The rows of one process, and what it has read so far."""

    rank: int
    world: int
    done: set[int]  # numbers of rows that the folder held at the start
    seen: set[int] = field(default_factory=set)  # numbers of all rows, the other processes' too
    rows: dict[int, Row] = field(default_factory=dict)  # handed out and not answered

    def batches(
        self, made: Iterable[Window], keep_bad: Callable[[list[BadRow]], object]
    ) -> Iterator[Batch]:
        """Batches of this process that are not done; `keep_bad` gets its bad rows.

        Batches are dealt like cards, after they were made: so every process makes the same ones,
        and neither their number nor what is done changes which prompts are answered together.
        """
        for window in one_ahead(made):
            self.seen |= {*window.rows, *(row.number for row in window.bad)}
            if window.index % self.world == self.rank:
                keep_bad([row for row in window.bad if row.number not in self.done])
            for card, batch in enumerate(window.batches, start=window.index):
                if card % self.world == self.rank and not self.done.issuperset(batch.numbers):
                    self.rows |= {number: window.rows[number] for number in batch.numbers}
                    yield batch

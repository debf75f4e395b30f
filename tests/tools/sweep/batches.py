"""Rows to batches: windows of the stream, tokenised, sorted by length and padded on the left."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

from tests.harness.price_rows import BadRow, Row

T = TypeVar("T")
# A forward costs as much as so many tokens before its first one: each 4-bit weight is dequantised
# once, and each kernel is launched. So many pads in a batch are cheaper than one batch more.
PADS_WORTH = 1024


@dataclass(frozen=True)
class Batch:
    """Prompts that are asked together.

    `ids` is int64 (prompts, width), padded on the left; `mask` is 0 at pads, and None where there
    are none, for then torch takes the causal kernel, which needs no mask in memory.
    """

    numbers: tuple[int, ...]  # the rows' numbers in the data set
    ids: Any
    mask: Any | None

    @property
    def tokens(self) -> int:
        """How many positions are computed, pads included."""
        return int(self.ids.numel())


@dataclass(frozen=True)
class Window:
    """Some thousand rows that follow each other, ready to be asked."""

    index: int
    rows: dict[int, Row]
    bad: tuple[BadRow, ...]
    batches: tuple[Batch, ...]  # the longest prompts first, so that memory fails early if it does

    @property
    def numbers(self) -> set[int]:
        """Every row's number, the bad ones' too."""
        return {*self.rows, *(row.number for row in self.bad)}


def grouped(lengths: Sequence[int], batch_tokens: int) -> list[list[int]]:
    """Indexes of prompts that go together, the longest first.

    A batch has at most `batch_tokens` positions (but one prompt at least). It ends where the
    length changes once it is half full, so that long runs of one length need no pad, and where
    its pads would cost more than a batch of its own.
    """
    groups: list[list[int]] = []
    width = pads = 0
    for index in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        group = groups[-1] if groups else []
        size, pads = len(group) * width, pads + width - lengths[index]
        full = size + width > batch_tokens or pads > PADS_WORTH
        if not group or full or (2 * size >= batch_tokens and lengths[index] < lengths[group[-1]]):
            groups.append([])
            width, pads = lengths[index], 0
        groups[-1].append(index)
    return groups


def padded(rows: Sequence[Sequence[int]], pad: int) -> tuple[Any, Any | None]:
    """The ids as one int64 tensor, padded on the left, and its mask; None if nothing is padded."""
    import torch

    width = max(map(len, rows))
    if all(len(row) == width for row in rows):
        return torch.tensor(rows, dtype=torch.long), None
    ids = torch.tensor([[pad] * (width - len(row)) + list(row) for row in rows], dtype=torch.long)
    mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows])
    return ids, mask


def batches(prompts: dict[int, list[int]], batch_tokens: int, pad: int) -> tuple[Batch, ...]:
    """All prompts (ids by row number) in batches of at most so many positions."""
    numbers = list(prompts)
    found = []
    for group in grouped([len(prompts[number]) for number in numbers], batch_tokens):
        chosen = tuple(numbers[index] for index in group)
        found.append(Batch(chosen, *padded([prompts[number] for number in chosen], pad)))
    return tuple(found)


def halves(batch: Batch) -> list[Batch]:
    """The batch as two; one prompt cannot be halved."""
    middle = (len(batch.numbers) + 1) // 2
    cuts = (slice(None, middle), slice(middle, None))
    return [
        Batch(batch.numbers[cut], batch.ids[cut], None if batch.mask is None else batch.mask[cut])
        for cut in cuts
    ]


def chunks(rows: Iterable[T], size: int) -> Iterator[list[T]]:
    """The stream in lists of this size; the last may be shorter."""
    stream = iter(rows)
    while chunk := list(islice(stream, size)):
        yield chunk


def windows(
    rows: Iterable[Row | BadRow], tokenizer: Any, size: int, batch_tokens: int, limit: int
) -> Iterator[Window]:
    """The stream cut into windows of `size` rows, tokenised and batched.

    A text of more than `limit` tokens, special tokens not counted, is a bad row. Batches depend
    on the rows and on `batch_tokens` alone, so that every process makes the same ones.
    """
    special = len(tokenizer("")["input_ids"])
    for index, chunk in enumerate(chunks(rows, size)):
        good = [row for row in chunk if isinstance(row, Row)]
        bad = [row for row in chunk if isinstance(row, BadRow)]
        encoded = tokenizer([row.text for row in good])["input_ids"] if good else []
        prompts = {}
        for row, ids in zip(good, encoded, strict=True):
            if len(ids) - special > limit:
                bad.append(BadRow(row.number, f"over {limit} tokens"))
            else:
                prompts[row.number] = ids
        kept = {row.number: row for row in good if row.number in prompts}
        yield Window(
            index, kept, tuple(bad), batches(prompts, batch_tokens, tokenizer.pad_token_id)
        )

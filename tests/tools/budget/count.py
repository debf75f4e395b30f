"""How many tokens the texts of a price data set take, over all cores, in flat memory."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from tests.harness.errors import AssetError
from tests.harness.prices.dataset import BadRow, Row
from tests.tools.rows import one_ahead

BATCH = 4000  # rows; fewer leave cores idle at a batch's end, more only take memory
# What a cut takes, in this order: EOS, of the price any token, of the answer every token. The last
# is every label of training on answers alone.
LOSSES = ("eos", "price", "labels")


@dataclass(frozen=True)
class Counted:
    """A batch of rows, how many tokens each takes, and by LOSSES which row numbers lose it."""

    rows: list[Row]
    tokens: list[int]
    lost: Mapping[str, frozenset[int]]
    bad: list[BadRow]


def open_tokenizer(folder: Path) -> Any:
    """The folder's `tokenizers.Tokenizer`, which counts whole texts whatever its file says."""
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    except Exception as error:  # the library raises nothing narrower
        raise AssetError(f"{folder / 'tokenizer.json'}: {error}; fetch the file again") from None
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def count_rows(
    rows: Iterator[Row | BadRow], tokenizer: Any, train_limit: int, batch: int = BATCH
) -> Iterator[Counted]:
    """The rows' tokens, batch by batch; the next batch is read while this one is encoded."""
    # A thread is enough: encoding, which is nearly all the work, lets others run.
    for chunk in one_ahead(iter(lambda: list(islice(rows, batch)), [])):
        good = [row for row in chunk if isinstance(row, Row)]
        tokens = count_tokens(tokenizer, [row.text + row.answer for row in good])
        lost = _lost(tokenizer, good, tokens, train_limit)
        yield Counted(good, tokens, lost, [row for row in chunk if isinstance(row, BadRow)])


def count_tokens(tokenizer: Any, texts: list[str]) -> list[int]:
    """Tokens of each text, without BOS and EOS: for these the training limit leaves room."""
    return list(map(len, tokenizer.encode_batch_fast(texts, add_special_tokens=False)))


def _lost(
    tokenizer: Any, rows: list[Row], tokens: list[int], train_limit: int
) -> dict[str, frozenset[int]]:
    """By LOSSES, numbers of the rows of which truncation to `train_limit` tokens leaves it not.

    Only texts that may be too long are encoded again: in full, with special tokens, as training
    has them, which puts EOS behind. A prompt without an answer gets the one that training would
    give it.
    """
    lost: dict[str, set[int]] = {what: set() for what in LOSSES}
    special = tokenizer.num_special_tokens_to_add(False)
    long = [
        row
        for row, count in zip(rows, tokens, strict=True)
        if special + count + len(_future_answer(row)) + 1 > train_limit
    ]
    answers = [row.answer or _future_answer(row) for row in long]
    texts = [row.text + answer for row, answer in zip(long, answers, strict=True)]
    tokenizer.enable_truncation(train_limit)
    encodings = tokenizer.encode_batch(texts)
    tokenizer.no_truncation()
    for row, answer, encoding in zip(long, answers, encodings, strict=True):
        digits = len(answer.partition(".")[0]) or 1
        if len(encoding) == train_limit:  # no room for one more
            lost["eos"].add(row.number)
        if encoding.char_to_token(len(row.text) + digits - 1) is None:
            lost["price"].add(row.number)
        if encoding.char_to_token(len(row.text)) is None:
            lost["labels"].add(row.number)
    return {what: frozenset(numbers) for what, numbers in lost.items()}


def _future_answer(row: Row) -> str:
    """What training would append to a prompt without an answer; of an unknown price one digit."""
    if row.answer:
        return ""
    return "0" if row.price is None else f"{round(row.price)}.00"

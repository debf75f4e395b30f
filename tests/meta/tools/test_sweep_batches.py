"""How rows become batches: nothing lost, pads on the left and few, the same for all processes."""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.harness.batches.answers import MAX_PADS, group_by_length, make_batches
from tests.harness.model.loading import prepared_tokenizer
from tests.harness.prices.dataset import BadRow, Row
from tests.tools.rows import one_ahead
from tests.tools.sweep.batches import Share, windows


@pytest.fixture(scope="module")
def tokenizer(bundle: dict[str, Path]) -> Any:
    return prepared_tokenizer(bundle["smollm2"])


@pytest.mark.parametrize("batch_tokens", [1, 100, 2_000, 100_000])
def test_every_prompt_is_in_one_group_and_groups_fit(batch_tokens: int) -> None:
    dice = random.Random(batch_tokens)
    lengths = [dice.randint(1, 180) for _ in range(500)]
    groups = group_by_length(lengths, batch_tokens)
    assert sorted(index for group in groups for index in group) == list(range(500))
    for group in groups:
        width = lengths[group[0]]
        pads = sum(width - lengths[index] for index in group)
        assert width == max(lengths[index] for index in group)
        assert len(group) == 1 or len(group) * width <= batch_tokens
        assert pads <= MAX_PADS


def test_long_runs_of_one_length_have_no_pads() -> None:
    lengths = [170] * 64 + [160] * 64 + [150] * 3
    groups = group_by_length(lengths, 64 * 170)
    assert [{lengths[index] for index in group} for group in groups] == [{170}, {160}, {150}]


def test_pads_are_on_the_left_and_hidden_also_in_halves() -> None:
    (batch,) = make_batches({3: [5, 6, 7], 4: [8], 9: [9, 1]}, 100, pad=2)
    masks: list[Any] = [half.mask for half in batch.halves()]
    assert [half.numbers for half in batch.halves()] == [(3, 9), (4,)]
    ids = [half.ids.tolist() for half in batch.halves()]
    assert ids == [[[5, 6, 7], [2, 9, 1]], [[2, 2, 8]]]
    assert [mask.tolist() for mask in masks] == [[[1, 1, 1], [0, 1, 1]], [[0, 0, 1]]]
    (equally_long,) = make_batches({0: [5, 6], 1: [8, 9]}, 100, pad=2)
    assert equally_long.mask is None


def test_windows_keep_every_row_and_name_bad_ones(tokenizer: Any) -> None:
    long = Row(2, "word " * 30, None)
    rows: list[Row | BadRow] = [Row(0, "a pan", 3), BadRow(1, "no text"), long, Row(3, "x", 1)]
    first, second = windows(rows, tokenizer, size=3, batch_tokens=100, limit=20)
    assert set(first.rows) == {0} and set(second.rows) == {3}
    assert first.bad == [BadRow(1, "no text"), BadRow(2, "over 20 tokens")]
    assert first.batches[0].ids.tolist() == [tokenizer.encode("a pan")]


def test_limit_does_not_count_the_bos(bundle: dict[str, Path]) -> None:
    llama = prepared_tokenizer(bundle["llama3_1"])
    row = Row(0, "a b c", None)
    assert len(llama.encode(row.text)) == 4
    (exact,) = windows([row], llama, 1, 100, limit=3)
    (over,) = windows([row], llama, 1, 100, limit=2)
    assert set(exact.rows) == {0} and over.bad == [BadRow(0, "over 2 tokens")]


def test_items_and_errors_come_through_the_thread() -> None:
    def stream() -> Iterator[int]:
        yield from (1, 2, 3)
        raise OSError("the file went away")

    got = one_ahead(stream())
    assert [next(got), next(got), next(got)] == [1, 2, 3]
    with pytest.raises(OSError, match="went away"):
        next(got)


@pytest.mark.parametrize("done", [set(), {*range(25), 30, 59}], ids=["new", "resumed"])
@pytest.mark.parametrize("world", [1, 2, 3, 7])
def test_processes_share_the_one_process_batches(
    tokenizer: Any, world: int, done: set[int]
) -> None:
    """Even if one starts when others have written: what is done changes nobody's hand of cards."""
    rows: list[Row | BadRow] = [
        BadRow(n, "no text") if n % 9 == 0 else Row(n, "a " * (n % 13 + 1), None) for n in range(60)
    ]

    def dealt(share: Share) -> list[tuple[int, ...]]:
        made = windows(rows, tokenizer, size=25, batch_tokens=40, limit=100)
        return [batch.numbers for batch in share.batches(made, bad.extend)]

    bad: list[BadRow] = []
    expected = dealt(Share(0, 1, done))
    bad.clear()
    got: list[tuple[int, ...]] = []
    for rank in range(world):
        share = Share(rank, world, done | {n for numbers in got for n in numbers})
        got += dealt(share)
        assert share.seen == set(range(60))
    assert sorted(got) == sorted(expected)
    assert sorted(row.number for row in bad) == [n for n in range(0, 60, 9) if n not in done]
    assert not [numbers for numbers in got if done.issuperset(numbers)]  # none is answered twice
    missing = {n for n in range(60) if n % 9} - done
    assert missing <= {n for numbers in got for n in numbers}

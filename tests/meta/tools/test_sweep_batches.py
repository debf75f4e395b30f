"""How rows become batches: nothing lost, pads on the left and few, the same for all processes."""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.harness.live import prepared_tokenizer
from tests.harness.price_rows import BadRow, Row
from tests.tools.sweep.batches import PADS_WORTH, batches, grouped, halves, padded, windows
from tests.tools.sweep.prefetch import ahead
from tests.tools.sweep.room import LEAST_TOKENS, MOST_TOKENS, fitting
from tests.tools.sweep.run import Cut, Sweep, reader
from tests.tools.sweep.store import Store


@pytest.fixture(scope="module")
def tokenizer(bundle: dict[str, Path]) -> Any:
    return prepared_tokenizer(bundle["smollm2"])


@pytest.mark.parametrize("batch_tokens", [1, 100, 2_000, 100_000])
def test_every_prompt_is_in_one_group_and_groups_fit(batch_tokens: int) -> None:
    dice = random.Random(batch_tokens)
    lengths = [dice.randint(1, 180) for _ in range(500)]
    groups = grouped(lengths, batch_tokens)
    assert sorted(index for group in groups for index in group) == list(range(500))
    for group in groups:
        width = lengths[group[0]]
        pads = sum(width - lengths[index] for index in group)
        assert width == max(lengths[index] for index in group)
        assert len(group) == 1 or len(group) * width <= batch_tokens
        assert pads <= PADS_WORTH


def test_long_runs_of_one_length_have_no_pads() -> None:
    lengths = [170] * 64 + [160] * 64 + [150] * 3
    groups = grouped(lengths, 64 * 170)
    assert [{lengths[index] for index in group} for group in groups] == [{170}, {160}, {150}]


def test_pads_are_on_the_left_and_hidden() -> None:
    ids, mask = padded([[5, 6, 7], [8]], pad=2)
    assert ids.tolist() == [[5, 6, 7], [2, 2, 8]]
    assert mask is not None and mask.tolist() == [[1, 1, 1], [0, 0, 1]]
    assert padded([[5, 6], [8, 9]], pad=2)[1] is None


def test_halves_are_the_whole() -> None:
    (batch,) = batches({3: [1, 2], 4: [3], 9: [4, 5]}, 100, pad=0)
    first, second = halves(batch)
    assert first.numbers + second.numbers == batch.numbers
    assert first.ids.tolist() + second.ids.tolist() == batch.ids.tolist()
    assert first.mask is not None and second.mask is not None


def test_windows_keep_every_row_and_tell_bad_ones(tokenizer: Any) -> None:
    rows: list[Row | BadRow] = [
        Row(0, "a pan", 3.0),
        BadRow(1, "no text"),
        Row(2, "word " * 30, None),
        Row(3, "x", 1.0),
    ]
    first, second = windows(rows, tokenizer, size=3, batch_tokens=100, limit=20)
    assert first.numbers == {0, 1, 2} and set(first.rows) == {0} and second.numbers == {3}
    assert first.bad == (BadRow(1, "no text"), BadRow(2, "over 20 tokens"))
    assert first.batches[0].ids.tolist() == [tokenizer.encode("a pan")]


def test_limit_does_not_count_the_bos(bundle: dict[str, Path]) -> None:
    llama = prepared_tokenizer(bundle["llama3_1"])
    row = Row(0, "a b c", None)
    assert len(llama.encode(row.text)) == 4
    (exact,) = windows([row], llama, 1, 100, limit=3)
    (over,) = windows([row], llama, 1, 100, limit=2)
    assert set(exact.rows) == {0} and over.bad == (BadRow(0, "over 2 tokens"),)


def test_items_and_errors_come_through_the_thread() -> None:
    def stream() -> Iterator[int]:
        yield from (1, 2, 3)
        raise OSError("the file went away")

    got = ahead(stream())
    assert [next(got), next(got), next(got)] == [1, 2, 3]
    with pytest.raises(OSError, match="went away"):
        next(got)


def test_room_is_the_largest_step_that_fits() -> None:
    assert fitting(free=10_000_000, fixed=0, each=1_000) == 4096  # 8,000 fit
    assert fitting(free=10_000_000, fixed=4_000_000, each=1_000) == 2048  # 4,000 fit
    assert fitting(free=1, fixed=0, each=1_000) == LEAST_TOKENS
    assert fitting(free=10**15, fixed=0, each=1) == MOST_TOKENS


def share(tokenizer: Any, folder: Path, rank: int, world: int, done: set[int]) -> Sweep:
    """What one process of a sweep starts from."""
    store = Store(folder, rank, world, every=1e9)
    return Sweep(tokenizer, store, reader(tokenizer, "generate"), done, lambda count: None)


@pytest.mark.parametrize("done", [set(), {*range(25), 30, 59}], ids=["new", "resumed"])
@pytest.mark.parametrize("world", [1, 2, 3, 7])
def test_processes_share_the_one_process_batches(
    tokenizer: Any, tmp_path: Path, world: int, done: set[int]
) -> None:
    """Even if one starts when others have written: what is done changes nobody's hand of cards."""
    rows: list[Row | BadRow] = [
        BadRow(n, "no text") if n % 9 == 0 else Row(n, "a " * (n % 13 + 1), None) for n in range(60)
    ]
    cut = Cut(window=25, batch_tokens=40, limit=100)
    alone = share(tokenizer, tmp_path, 0, 1, done)
    expected = [batch.numbers for batch in alone.batches(rows, cut)]
    got: list[tuple[int, ...]] = []
    bad: list[int] = []
    for rank in range(world):
        process = share(tokenizer, tmp_path, rank, world, done | {n for b in got for n in b})
        got += [batch.numbers for batch in process.batches(rows, cut)]
        bad += [line["number"] for line in process.store.waiting]
        assert process.seen == set(range(60))
    assert sorted(got) == sorted(expected)
    assert sorted(bad) == [n for n in range(0, 60, 9) if n not in done]
    assert not [batch for batch in got if done.issuperset(batch)]  # nothing is asked twice
    missing = {n for n in range(60) if n % 9} - done
    assert missing <= {number for batch in got for number in batch}

"""What a sweep leaves on disk: added, never changed; refused when it is another sweep's."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.harness.errors import DataError
from tests.tools.rows import write_rows
from tests.tools.sweep.run import columns
from tests.tools.sweep.store import Store, read_lines

LINE = {"number": 0, "price": 1.5, "prediction": None, "error": None, "tokens": [7], "reply": "x"}


def line(number: int, **changes: Any) -> dict[str, Any]:
    return {**LINE, "number": number, **changes}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / "out", every=0.0)
    with store.claimed():
        return store


def test_differing_keys_are_named_with_the_fix(store: Store) -> None:
    store.check_identity({"model": "smollm2", "load": "nf4", "limit": 179})
    store.check_identity({"model": "smollm2", "load": "nf4", "limit": 179})
    text = r"other load, limit \(load: nf4 there, bf16 given; "
    with pytest.raises(DataError, match=text) as error:
        store.check_identity({"model": "smollm2", "load": "bf16", "limit": 5})
    assert "give another --out" in str(error.value) and "\n" not in str(error.value)


def test_second_sweep_of_the_same_rank_is_refused(store: Store) -> None:
    refused = pytest.raises(DataError, match="another sweep writes there")
    with store.claimed(), refused, Store(store.folder).claimed():
        pytest.fail("two at once")


def test_parts_are_added_and_gathered_in_order(store: Store) -> None:
    other = Store(store.folder, rank=1, world=2, every=0.0)
    store.add([line(2)])
    first = store.parts[0].read_bytes()
    other.add([line(0), {"number": 1, "reason": "no text"}])
    assert store.parts[0].read_bytes() == first and len(store.parts) == 2
    assert store.results().keys() == {0, 1, 2}


def test_processes_at_the_same_time_take_the_longest_ones_seconds(store: Store) -> None:
    taken = {"0of1": (5.0,), "0of2": (3.0,), "1of2": (1.0, 4.0)}
    names = [(rank, seconds) for rank, each in taken.items() for seconds in each]
    for number, (rank, seconds) in enumerate(names):
        part = store.folder / "parts" / f"{number:06}-rank{rank}-1.jsonl"
        part.write_text(json.dumps({"seconds": seconds}) + "\n")
    assert store.seconds() == 5.0 + 5.0


def test_broken_part_is_named(store: Store) -> None:
    store.add([line(0)])
    (part,) = store.parts
    part.write_bytes(part.read_bytes()[:10])
    with pytest.raises(DataError, match="delete this file, and its rows are answered again"):
        store.results()


def test_scratch_of_a_killed_process_is_no_part(store: Store) -> None:
    (store.folder / "parts" / ".000000-rank0of1-9.jsonl.9").write_text('{"number": 0')
    store.add([line(0)])
    assert store.results() == {0: LINE}


def test_parquet_and_json_lines_hold_the_same(tmp_path: Path) -> None:
    from pyarrow import parquet

    rows = [line(0), line(1, prediction=3.0, error=1.5)]
    for name in ("rows.jsonl", "rows.parquet"):
        write_rows(tmp_path / name, [rows, []], columns)
    assert parquet.read_table(tmp_path / "rows.parquet").to_pylist() == rows
    assert list(read_lines(tmp_path / "rows.jsonl")) == rows

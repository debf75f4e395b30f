"""What a sweep leaves on disk: added, never changed; refused when it is another sweep's."""

from pathlib import Path
from typing import Any

import pytest

from tests.harness.atomic import write_atomically
from tests.tools.sweep.run import gathered, write_predictions
from tests.tools.sweep.scoring import SweepError
from tests.tools.sweep.store import PARTS, Store, read_lines

LINE = {"number": 0, "price": 1.5, "prediction": None, "error": None, "tokens": [7], "reply": "x"}


def line(number: int, **changes: Any) -> dict[str, Any]:
    return {**LINE, "number": number, **changes}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    found = Store(tmp_path / "out", every=0.0)
    with found.claimed():
        return found


def test_differing_keys_are_named_with_the_mend(store: Store) -> None:
    store.check_identity({"model": "smollm2", "load": "nf4", "limit": 179})
    store.check_identity({"model": "smollm2", "load": "nf4", "limit": 179})
    with pytest.raises(
        SweepError, match=r"other load, limit \(load: nf4 there, bf16 asked; "
    ) as told:
        store.check_identity({"model": "smollm2", "load": "bf16", "limit": 5})
    assert "give another --out" in str(told.value) and "\n" not in str(told.value)


def test_second_sweep_of_the_same_rank_is_refused(store: Store) -> None:
    told = pytest.raises(SweepError, match="another sweep writes there")
    with store.claimed(), told, Store(store.folder).claimed():
        pytest.fail("two at once")


def test_parts_are_added_and_gathered_in_order(store: Store) -> None:
    other = Store(store.folder, rank=1, world=2, every=0.0)
    store.add([line(2)])
    first = store.parts()[0].read_bytes()
    other.add([line(0), {"number": 1, "reason": "no text"}])
    assert store.parts()[0].read_bytes() == first and len(store.parts()) == 2
    assert [it["number"] for it in gathered(store, {0, 1, 2}) or []] == [0, 1, 2]
    assert [rank for rank, _ in store.seconds()] == ["0of1", "1of2"]


def test_rows_still_missing_are_not_gathered(store: Store) -> None:
    store.add([line(0)])
    assert gathered(store, {0, 1}) is None


def test_row_that_stands_twice_is_told_with_both_parts(store: Store) -> None:
    store.add([line(0)])
    store.add([line(0)])
    names = [part.name for part in store.parts()]
    with pytest.raises(SweepError, match=f"row 0 stands in {names[0]} and in {names[1]}: delete"):
        gathered(store, {0})


def test_row_of_no_data_set_is_told(store: Store) -> None:
    store.add([line(5)])
    with pytest.raises(SweepError, match=r"row 5 of .* is not in the data set"):
        gathered(store, {0})


def test_broken_part_is_told(store: Store) -> None:
    store.add([line(0)])
    (part,) = store.parts()
    part.write_bytes(part.read_bytes()[:10])
    with pytest.raises(SweepError, match="delete this file, and its rows are asked again"):
        gathered(store, {0})


def test_write_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "it"
    path.write_text("whole")

    def fail(scratch: Path) -> None:
        scratch.write_text("half")
        raise OSError("no space")

    with pytest.raises(OSError, match="no space"):
        write_atomically(path, fail)
    assert path.read_text() == "whole" and [it.name for it in tmp_path.iterdir()] == ["it"]


def test_reader_sees_the_old_file_or_the_new_one(tmp_path: Path) -> None:
    path = tmp_path / "it"
    path.write_text("old")
    with path.open() as reader:
        write_atomically(path, lambda scratch: scratch.write_text("new"))
        assert reader.read() == "old" and path.read_text() == "new"


def test_scratch_of_a_killed_process_is_no_part(store: Store) -> None:
    (store.folder / PARTS / ".000000-rank0of1-9.jsonl.9").write_text('{"number": 0')
    store.add([line(0)])
    assert gathered(store, {0}) == [LINE]


def test_parquet_and_json_lines_hold_the_same(tmp_path: Path) -> None:
    from pyarrow import parquet

    rows = [line(0), line(1, prediction=3.0, error=1.5)]
    for name in ("it.jsonl", "it.parquet"):
        write_predictions(tmp_path / name, rows)
    assert parquet.read_table(tmp_path / "it.parquet").to_pylist() == rows
    assert list(read_lines(tmp_path / "it.jsonl")) == rows

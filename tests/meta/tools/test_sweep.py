"""The whole sweep: files, interruption, processes, and what it cannot do."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from tests.harness.batches.answers import batch_answer
from tests.harness.errors import LoadError
from tests.harness.prices.dataset import BadRow, DataSet, Row, read_rows
from tests.harness.prices.products import price_prompt, read_products
from tests.meta.conftest import PROJECT
from tests.meta.support.tiny_sweep import tiny_registry
from tests.tools import models
from tests.tools.models import rank_and_world
from tests.tools.sweep import run as running
from tests.tools.sweep.__main__ import main
from tests.tools.sweep.store import read_lines

PRODUCTS = [product for product in read_products() if len(product.description) < 250][:9]
BAD = {
    3: ('{"text": "", "price": 3}', "no text"),
    5: ('{"text": "Price is $", "price": "cheap"}', "price 'cheap' is not a number"),
    7: ("{", "not JSON (Expecting property name enclosed in double quotes: line 1 column 2"),
    9: (json.dumps({"text": "word " * 200 + "Price is $", "price": 1}), "over 179 tokens"),
}
GOOD = [number for number in range(13) if number not in BAD]
OPTIONS = ["--model", "smollm2", "--load", "bf16", "--device", "cpu", "--quiet"]
OPTIONS += ["--picture", "none", "--batch-tokens", "128", "--keep-every", "0", "--method", "score"]
DUMMY = ("--weights", "dummy")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, bundle: dict[str, Path]) -> Path:
    """Nine good rows and four bad ones among them, prices in a column."""
    good = (
        json.dumps({"text": price_prompt(product.text), "price": product.price})
        for product in PRODUCTS
    )
    rows = [BAD[number][0] if number in BAD else next(good) for number in range(13)]
    path = tmp_path_factory.mktemp("data") / "rows.jsonl"
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def whole(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a sweep with SmolLM2's real weights that nothing disturbed."""
    out = tmp_path_factory.mktemp("whole") / "out"
    assert main([str(data), "--out", str(out), *OPTIONS]) == 0
    return out


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tiny model of random weights in SmolLM2's place: it answers in no time."""
    monkeypatch.setattr(models, "registry", tiny_registry)


@pytest.fixture(scope="module")
def tiny_whole(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a sweep with the tiny model that nothing disturbed."""
    out = tmp_path_factory.mktemp("tiny") / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(models, "registry", tiny_registry)
        assert main([str(data), "--out", str(out), *OPTIONS, *DUMMY]) == 0
    return out


def same_files(out: Path, whole: Path) -> bool:
    """Whether both folders hold the same answers and bad rows."""
    names = ("predictions.jsonl", "bad_rows.jsonl")
    return all((out / name).read_bytes() == (whole / name).read_bytes() for name in names)


def parts_of(out: Path) -> dict[Path, bytes]:
    """The parts that were written so far."""
    return {path: path.read_bytes() for path in out.glob("parts/[0-9]*.jsonl")}


def test_every_row_is_there_and_the_summary_counts_it(whole: Path) -> None:
    rows = list(read_lines(whole / "predictions.jsonl"))
    bad = {line["number"]: line["reason"] for line in read_lines(whole / "bad_rows.jsonl")}
    assert [row["number"] for row in rows] == GOOD
    assert bad.keys() == BAD.keys()
    assert all(bad[number].startswith(reason[:40]) for number, (_, reason) in BAD.items())
    assert [row["price"] for row in rows] == [product.price for product in PRODUCTS]
    summary = json.loads((whole / "summary.json").read_text())
    assert summary["rows"] == 13 and summary["bad_rows"]["count"] == 4
    errors = [abs(row["prediction"] - row["price"]) for row in rows]
    assert summary["mean_absolute_error_dollars"] == pytest.approx(sum(errors) / len(errors))
    assert summary["rows_per_second"] > 0 and summary["weights"] == "weights of its package"


def test_complete_folder_is_left_alone(
    whole: Path, data: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.stat().st_mtime_ns for path in whole.iterdir() if path.is_file()}
    assert main([str(data), "--out", str(whole), *OPTIONS]) == 0
    assert "is complete: nothing to do" in capfd.readouterr().err
    after = {path: path.stat().st_mtime_ns for path in whole.iterdir() if path.is_file()}
    changed = {path.name for path in after if after[path] != before.get(path)}
    assert all(name.endswith(".lock") for name in changed)


def test_other_options_are_refused(
    whole: Path, data: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main([str(data), "--out", str(whole), *OPTIONS, "--limit", "50"]) == 2
    assert "holds a sweep of other limit (limit: 179 there, 50 given)" in capfd.readouterr().err


@pytest.mark.usefixtures("tiny")
def test_picture_is_drawn_later_where_matplotlib_was_missing(
    tiny_whole: Path,
    data: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    again = [str(data), "--out", str(tiny_whole), *OPTIONS, *DUMMY, "--picture", "png"]
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "matplotlib.figure", None)
        assert main(again) == 0
    assert "no picture: matplotlib is missing; pip install" in capfd.readouterr().err
    assert main(again) == 0
    assert (tiny_whole / "picture.png").read_bytes().startswith(b"\x89PNG")


def run_tiny(
    data: Path, out: Path, *launcher: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    """The sweep of the tiny model in a process of its own, or in several."""
    start = [sys.executable, *launcher, "-m", "tests.meta.support.tiny_sweep"]
    return subprocess.run(
        [*start, str(data), "--out", str(out), *OPTIONS, *DUMMY],
        cwd=PROJECT,
        env={"OMP_NUM_THREADS": "1", **os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.usefixtures("tiny")
def test_killed_in_the_middle_and_resumed_every_row_is_there_once(
    tiny_whole: Path, data: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert run_tiny(data, out, KILLED_AFTER="3").returncode == -9
    assert not (out / "summary.json").exists()
    kept = parts_of(out)
    assert 0 < sum(content.count(b'"number"') for content in kept.values()) < 13
    assert main([str(data), "--out", str(out), *OPTIONS, *DUMMY]) == 0
    assert kept.items() < parts_of(out).items()
    assert same_files(out, tiny_whole)


@pytest.mark.usefixtures("tiny")
def test_interrupted_and_resumed_every_row_is_there_once(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def interrupted(data: DataSet) -> Iterator[Row | BadRow]:
        yield from islice(read_rows(data), 8)
        raise KeyboardInterrupt

    out = tmp_path / "out"
    options = [str(data), "--out", str(out), *OPTIONS, *DUMMY, "--window", "4"]
    with monkeypatch.context() as patch:
        patch.setattr(running, "read_rows", interrupted)
        assert main(options) == 130
    assert "run the same command to go on" in capfd.readouterr().err
    kept = parts_of(out)
    assert 0 < sum(content.count(b'"number"') for content in kept.values()) <= 8
    assert main(options) == 0
    assert kept.items() < parts_of(out).items()
    assert [row["number"] for row in read_lines(out / "predictions.jsonl")] == GOOD


@pytest.mark.slow
def test_two_processes_give_what_one_gives(tiny_whole: Path, data: Path, tmp_path: Path) -> None:
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    done = run_tiny(data, tmp_path, *launcher)
    assert done.returncode == 0, done.stderr[-2000:]
    ranks = {path.name.split("-")[1] for path in parts_of(tmp_path)}
    assert ranks == {"rank0of2", "rank1of2"}
    assert same_files(tmp_path, tiny_whole)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["missing.jsonl"], "missing.jsonl: there is no such file; check the path"),
        (["DATA", "--weights", "nowhere"], "--weights smollm2=nowhere: write auto, hub, dummy"),
    ],
)
def test_what_cannot_be_swept_is_named_in_one_line(
    arguments: list[str], line: str, data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    given = [str(data) if word == "DATA" else word for word in arguments]
    assert main([*given, "--out", str(tmp_path / "out"), *OPTIONS]) == 2
    assert line in capfd.readouterr().err.splitlines()[-1]
    assert not [*tmp_path.iterdir()]


@pytest.mark.usefixtures("tiny")
def test_check_that_fails_is_named_and_is_status_1(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def shifted(*arguments: Any) -> Any:
        answer = batch_answer(*arguments)
        return lambda batch: (answer(batch) + 1000) % 49_000

    monkeypatch.setattr(running, "batch_answer", shifted)
    assert main([str(data), "--out", str(tmp_path), *OPTIONS, *DUMMY, "--check", "2"]) == 1
    *_, first, count = capfd.readouterr().err.splitlines()
    assert first.startswith("smollm2: cpu bf16, dummy weights") and ": row " in first
    assert "in a batch, expected" in first and count.strip().startswith("2 of 2 rows differ")
    assert json.loads((tmp_path / "summary.json").read_text())["check"]["equal"] == 0
    assert len(list(read_lines(tmp_path / "predictions.jsonl"))) == len(PRODUCTS)


@pytest.mark.parametrize(
    ("visible", "expected"), [(None, "1"), ("4,7", "7"), ("", ""), ("GPU-a,GPU-b", "GPU-b")]
)
def test_each_process_sees_its_own_gpu(
    visible: str | None, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("RANK", "3"), ("WORLD_SIZE", "4"), ("LOCAL_RANK", "1")):
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")  # so that it is put back as it was
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert rank_and_world() == (3, 4)
    assert os.environ["CUDA_VISIBLE_DEVICES"] == expected


def test_one_process_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "CUDA_VISIBLE_DEVICES"):
        monkeypatch.delenv(name, raising=False)
    assert rank_and_world() == (0, 1) and "CUDA_VISIBLE_DEVICES" not in os.environ
    monkeypatch.setenv("RANK", "first")
    with pytest.raises(LoadError, match="must be numbers: unset them"):
        rank_and_world()

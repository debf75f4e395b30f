"""The whole sweep on SmolLM2's real weights: files, interruption, processes and refusals."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from tests.harness.batches.answers import batch_answer
from tests.harness.prices.dataset import BadRow, DataSet, Row, read_rows
from tests.harness.prices.products import price_prompt, read_products
from tests.meta.conftest import PROJECT
from tests.tools.sweep import run as running
from tests.tools.sweep.__main__ import main
from tests.tools.sweep.ranks import rank_and_world
from tests.tools.sweep.store import read_lines

PRODUCTS = [product for product in read_products() if len(product.description) < 250][:9]
BAD = {
    3: ('{"text": "", "price": 3}', "no text"),
    5: ('{"text": "Price is $", "price": "cheap"}', "price 'cheap' is not a number"),
    7: ("{", "not JSON (Expecting property name enclosed in double quotes: line 1 column 2"),
    9: (json.dumps({"text": "word " * 200 + "Price is $", "price": 1}), "over 179 tokens"),
}
OPTIONS = ["--model", "smollm2", "--load", "bf16", "--device", "cpu"]
OPTIONS += ["--quiet", "--picture", "none"]
SCORE = ("--method", "score", "--batch-tokens", "128", "--keep-every", "0")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
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
def whole(data: Path, tmp_path_factory: pytest.TempPathFactory, bundle: dict[str, Path]) -> Path:
    """The folder of a sweep that nothing disturbed."""
    out = tmp_path_factory.mktemp("whole") / "out"
    assert main([str(data), "--out", str(out), *OPTIONS, *SCORE]) == 0
    return out


def test_every_row_is_there_and_the_summary_counts_it(whole: Path, data: Path) -> None:
    rows = list(read_lines(whole / "predictions.jsonl"))
    bad = {line["number"]: line["reason"] for line in read_lines(whole / "bad_rows.jsonl")}
    assert {row["number"] for row in rows} == set(range(13)) - set(BAD)
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
    assert main([str(data), "--out", str(whole), *OPTIONS, *SCORE]) == 0
    assert "is complete: nothing to do" in capfd.readouterr().err
    after = {path: path.stat().st_mtime_ns for path in whole.iterdir() if path.is_file()}
    changed = {path.name for path in after if after[path] != before.get(path)}
    assert {name for name in changed if not name.endswith(".lock")} == set()


def test_picture_is_drawn_later_where_matplotlib_was_missing(
    whole: Path,
    data: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    again = [str(data), "--out", str(whole), *OPTIONS, *SCORE, "--picture", "png"]
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "matplotlib.figure", None)
        assert main(again) == 0
    assert "no picture: matplotlib is missing; pip install" in capfd.readouterr().err
    assert main(again) == 0
    assert (whole / "picture.png").read_bytes().startswith(b"\x89PNG")


def test_other_options_are_refused(
    whole: Path, data: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main([str(data), "--out", str(whole), *OPTIONS, *SCORE, "--limit", "50"]) == 2
    assert "holds a sweep of other limit (limit: 179 there, 50 given)" in capfd.readouterr().err


def command(data: Path, out: Path, *launcher: str) -> list[str]:
    """The sweep in a process of its own."""
    start = [sys.executable, *launcher, "-m", "tests.tools.sweep"]
    return [*start, str(data), "--out", str(out), *OPTIONS, *SCORE]


def test_killed_in_the_middle_and_resumed_every_row_is_there_once(
    whole: Path, data: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    process = subprocess.Popen(command(data, out), cwd=PROJECT, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 300
    while len(list(out.glob("parts/[0-9]*.jsonl"))) < 3:
        assert process.poll() is None and time.monotonic() < deadline, "it ended before the kill"
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (out / "summary.json").exists()
    kept = {path: path.read_bytes() for path in out.glob("parts/[0-9]*.jsonl")}
    done = sum(line.count(b'"number"') for line in kept.values())
    assert 0 < done < 13, "nothing was left to do"
    assert main([str(data), "--out", str(out), *OPTIONS, *SCORE]) == 0
    assert all(path.read_bytes() == content for path, content in kept.items())
    for name in ("predictions.jsonl", "bad_rows.jsonl"):
        assert (out / name).read_bytes() == (whole / name).read_bytes()


def test_interrupted_and_resumed_every_row_is_there_once(
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    bundle: dict[str, Path],
) -> None:
    def interrupted(data: DataSet) -> Iterator[Row | BadRow]:
        yield from islice(read_rows(data), 8)
        raise KeyboardInterrupt

    options = [str(data), "--out", str(tmp_path / "out"), *OPTIONS, *SCORE, "--window", "4"]
    with monkeypatch.context() as patch:
        patch.setattr(running, "read_rows", interrupted)
        assert main(options) == 130
    assert "run the same command to go on" in capfd.readouterr().err
    kept = {path: path.read_bytes() for path in tmp_path.glob("out/parts/[0-9]*.jsonl")}
    assert 0 < sum(content.count(b'"number"') for content in kept.values()) <= 8
    assert main(options) == 0
    assert all(path.read_bytes() == content for path, content in kept.items())
    rows = list(read_lines(tmp_path / "out" / "predictions.jsonl"))
    assert [row["number"] for row in rows] == [n for n in range(13) if n not in BAD]


def test_two_processes_give_what_one_gives(whole: Path, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    environment = {"OMP_NUM_THREADS": "1", **os.environ}
    done = subprocess.run(
        command(data, out, *launcher),
        cwd=PROJECT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    ranks = {path.name.split("-")[1] for path in out.glob("parts/[0-9]*.jsonl")}
    assert ranks == {"rank0of2", "rank1of2"}
    for name in ("predictions.jsonl", "bad_rows.jsonl"):
        assert (out / name).read_bytes() == (whole / name).read_bytes()


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["missing.jsonl"], "missing.jsonl: there is no such file; check the path"),
        (["owner/name"], "owner/name: a data set of the hub is read at a pinned revision only"),
        (["DATA", "--text-column", "body"], "give --text-column one of text, price"),
        (["DATA", "--weights", "nowhere"], "--weights smollm2=nowhere: write auto, hub, dummy"),
    ],
)
def test_what_cannot_be_swept_is_told_in_one_line(
    arguments: list[str],
    line: str,
    data: Path,
    tmp_path: Path,
    bundle: dict[str, Path],
    capfd: pytest.CaptureFixture[str],
) -> None:
    given = [str(data) if it == "DATA" else it for it in arguments]
    assert main([*given, "--out", str(tmp_path / "out"), *OPTIONS]) == 2
    assert line in capfd.readouterr().err.splitlines()[-1]


def test_check_that_fails_is_told_and_is_status_1(
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    bundle: dict[str, Path],
) -> None:
    def shifted(*arguments: Any) -> Any:
        answer = batch_answer(*arguments)
        return lambda batch: answer(batch) + 1000

    monkeypatch.setattr(running, "batch_answer", shifted)
    out = tmp_path / "out"
    assert main([str(data), "--out", str(out), *OPTIONS, *SCORE, "--check", "2"]) == 1
    told = capfd.readouterr().err.splitlines()
    assert told[-2].startswith("smollm2: cpu bf16, weights of its package: row ")
    assert "in a batch, expected" in told[-2] and told[-1].strip().startswith("2 of 2 rows differ")
    assert json.loads((out / "summary.json").read_text())["check"]["equal"] == 0
    assert len(list(read_lines(out / "predictions.jsonl"))) == len(PRODUCTS)


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

"""The token budget: exact counts, exact limits, and a command that says what is wrong."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from pyarrow import parquet
from transformers import AutoTokenizer

from tests.harness.console import exit_status
from tests.harness.data.cases import texts
from tests.harness.files import cache_folder
from tests.harness.prices.dataset import BadRow, DataSet, Row, make_row
from tests.harness.prices.products import (
    MARKER,
    TEXT_LIMIT,
    TRAINING_LIMIT,
    price_prompt,
    read_products,
    training_text,
)
from tests.meta.conftest import PROJECT, Run
from tests.tools.budget.__main__ import main
from tests.tools.budget.count import LOSSES, Counted, count_rows, count_tokens, open_tokenizer
from tests.tools.budget.output import Finding, findings, write_findings
from tests.tools.budget.summary import SHARES, Summary

ANY = DataSet("any.jsonl")


@cache
def auto_of(folder: Path) -> Any:
    """The tokenizer as users load it."""
    return AutoTokenizer.from_pretrained(str(folder), trust_remote_code=False)


def check_counts(folder: Path, auto: Any) -> None:
    """Our counts of products and of all text cases are AutoTokenizer's."""
    samples = [case.full_text for case in texts().values()]
    samples += [training_text(product.text, product.price) for product in read_products()]
    counts = count_tokens(open_tokenizer(folder), samples)
    for text, count in zip(samples, counts, strict=True):
        ids = auto.encode(text, add_special_tokens=False)
        assert count == len(ids), f"{text!r:.60}: counted {count}, AutoTokenizer {len(ids)}"


# Not StarCoder2 and SmolLM2: transformers 5.23 does not read their digits as their files say.
@pytest.mark.parametrize("key", ["llama3_1", "phi3"])
def test_counts_are_autotokenizers(bundle: dict[str, Path], key: str) -> None:
    check_counts(bundle[key], auto_of(bundle[key]))


def test_wrong_count_is_detected(
    bundle: dict[str, Path], model_copy: Callable[[str], Path]
) -> None:
    """One merge less, and `check_counts` goes red."""
    folder = model_copy("phi3")
    content = json.loads((folder / "tokenizer.json").read_bytes())
    content["model"]["merges"].pop(0)
    (folder / "tokenizer.json").write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(AssertionError, match=r"counted \d+, AutoTokenizer \d+"):
        check_counts(folder, auto_of(bundle["phi3"]))


def test_truncation_and_padding_of_the_file_do_not_count(
    bundle: dict[str, Path], model_copy: Callable[[str], Path]
) -> None:
    folder = model_copy("phi3")
    tokenizer = open_tokenizer(folder)
    tokenizer.enable_truncation(5)
    tokenizer.enable_padding(length=99)
    tokenizer.save(str(folder / "tokenizer.json"))
    check_counts(folder, auto_of(bundle["phi3"]))


def text_of(tokens: int, answer: str = "") -> str:
    """A text that Llama-3.1 reads as so many tokens, the answer included."""
    rest = {"": 0, "374.00": 3}[answer] + 16
    return price_prompt("A lamp" + " light" * (tokens - rest)) + answer


@pytest.mark.parametrize("answer", ["374.00", ""])
def test_limits_are_exact(bundle: dict[str, Path], answer: str) -> None:
    """What a row loses is what AutoTokenizer's own truncation of text and EOS leaves away."""
    auto = auto_of(bundle["llama3_1"])
    rows = [make_row(n, (text_of(n, answer), 374), ANY) for n in range(170, 190)]
    (counted,) = count_rows(iter(rows), open_tokenizer(bundle["llama3_1"]), TRAINING_LIMIT)
    assert counted.tokens == list(range(170, 190))
    expected: dict[str, set[int]] = {what: set() for what in LOSSES}
    for row in counted.rows:
        text = f"{row.text}374.00{auto.eos_token}"
        cut = auto.decode(auto.encode(text, truncation=True, max_length=TRAINING_LIMIT))
        kept = {"eos": auto.eos_token, "price": f"{MARKER}374", "labels": f"{MARKER}3"}
        for what, piece in kept.items():
            if piece not in cut:
                expected[what].add(row.number)
    assert counted.lost == expected
    firsts = {"eos": 181, "price": 184, "labels": 184}  # BOS, and of the answer `374`, `.`, `00`
    assert {what: min(rows) + 3 * (not answer) for what, rows in expected.items()} == firsts
    report = Summary(TEXT_LIMIT, TRAINING_LIMIT)
    report.add(counted)
    assert (report.rows_over, report.over[0]) == (10, 180)
    assert report.rows_lost == {what: len(rows) for what, rows in expected.items()}
    assert {what: rows[0] for what, rows in report.lost.items()} == {
        what: min(rows) for what, rows in expected.items()
    }


def test_price_of_several_tokens_must_survive_whole(bundle: dict[str, Path]) -> None:
    tokenizer = open_tokenizer(bundle["qwen2"])  # a token a digit, and no BOS
    row = make_row(0, (price_prompt("A lamp") + "374.00", 374), ANY)
    assert isinstance(row, Row)
    prompt = count_tokens(tokenizer, [row.text])[0]
    behind = ["3", "7", "4", ".", "0", "0", "<|im_end|>"]
    for kept, lost in ((0, "eos price labels"), (2, "eos price"), (3, "eos"), (6, "eos"), (7, "")):
        (counted,) = count_rows(iter([row]), tokenizer, prompt + kept)
        assert [what for what in LOSSES if counted.lost[what]] == lost.split(), behind[:kept]


def test_batches_change_nothing(bundle: dict[str, Path]) -> None:
    tokenizer = open_tokenizer(bundle["smollm2"])
    rows: list[Row | BadRow] = [Row(n, f"{'light ' * n}{MARKER}", 1.0) for n in range(20)]
    rows[7:7] = [BadRow(99, "no text")]
    reports = []
    for size in (1, 6, 100):
        report = Summary(limit=12, train_limit=15)
        for counted in count_rows(iter(rows), tokenizer, 15, size):
            report.add(counted)
        reports.append(report)
    assert reports[0] == reports[1] == reports[2]
    assert reports[0].histogram.total() == 20 and reports[0].bad == ["row 99: no text"]


def test_report_on_hand_counted_figures() -> None:
    tokens = [10] * 50 + [20] * 45 + [200] * 5
    rows = [Row(number, MARKER, None) for number in range(100)]
    report = Summary(TEXT_LIMIT, TRAINING_LIMIT)
    lost = {"eos": frozenset([99, 97, 98]), "price": frozenset([99]), "labels": frozenset[int]()}
    report.add(Counted(rows, tokens, lost, [BadRow(100, "no text")]))
    shares = {0.01: 10, 0.25: 10, 0.5: 10, 0.75: 20, 0.95: 20, 0.99: 200}
    assert {share: report.quantile(share) for share in SHARES} == shares
    assert (
        "tokens: min 10, 1% 10, 25% 10, 50% 10, 75% 20, 95% 20, 99% 200, max 200" in report.text()
    )
    assert report.text().startswith("100 texts counted, 1 bad rows\n")
    assert "more than 179 tokens: 5 rows (95, 96, 97, 98, 99)" in report.text()
    assert report.text().splitlines()[-4:] == [
        "EOS lost at 182: 3 rows (97, 98, 99)",
        "price token lost at 182: 1 rows (99)",
        "all labels of the answer lost at 182: 0 rows",
        "row 100: no text",
    ]


def interrupted() -> Iterator[list[Finding]]:
    """One batch, then Ctrl-C."""
    yield findings(Counted([], [], {}, [BadRow(5, "no text")]), TEXT_LIMIT)
    raise KeyboardInterrupt


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_file_of_an_interrupted_run_is_the_old_one(tmp_path: Path, suffix: str) -> None:
    out = tmp_path / f"out.{suffix}"
    out.write_text("of an earlier run")
    with pytest.raises(KeyboardInterrupt):
        write_findings(out, interrupted())
    assert [*tmp_path.iterdir()] == [out] and out.read_text() == "of an earlier run"


def data_file(folder: Path, *lengths: int, bad: bool = False) -> Path:
    """Training texts of so many tokens, with a bad row in front if asked."""
    rows: list[dict[str, Any]] = [{"text": 7, "price": 1}] if bad else []
    rows += [{"text": text_of(length, "374.00"), "price": 374} for length in lengths]
    path = folder / "data.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.mark.usefixtures("bundle")
def test_command_names_rows_over_the_limits_and_leaves_nothing(tmp_path: Path) -> None:
    """The real command, in a home of its own, in which it leaves no file."""
    home = tmp_path / "home"
    home.mkdir()
    path, out = data_file(tmp_path, 100, 180, 181, 190, bad=True), tmp_path / "out.jsonl"
    cache = {"MODEL_CONFORMANCE_CACHE": str(cache_folder())}
    done = subprocess.run(
        [sys.executable, "-m", "tests.tools.budget", str(path), "--out", str(out)],
        cwd=PROJECT,
        env={"PATH": os.environ["PATH"], "HOME": str(home)} | cache,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert done.stdout.splitlines()[0] == f"{path}, llama3_1: 4 texts counted, 1 bad rows"
    assert done.stdout.splitlines()[-5:] == [
        "more than 179 tokens: 3 rows (2, 3, 4)",
        "EOS lost at 182: 2 rows (3, 4)",
        "price token lost at 182: 1 rows (4)",
        "all labels of the answer lost at 182: 1 rows (4)",
        "row 0: text 7 is not a string",
    ]
    assert "5/5" in done.stderr and "row/s" in done.stderr
    columns = ("row", "tokens", "over_limit", "eos_lost", "price_lost", "labels_lost", "bad")
    assert [json.loads(line) for line in out.read_text().splitlines()] == [
        dict(zip(columns, row, strict=True))
        for row in [
            (0, None, None, None, None, None, "text 7 is not a string"),
            (2, 180, True, False, False, False, None),
            (3, 181, True, True, False, False, None),
            (4, 190, True, True, True, True, None),
        ]
    ]
    assert [file for file in home.rglob("*") if file.is_file()] == []
    assert sorted(file.name for file in tmp_path.iterdir()) == ["data.jsonl", "home", "out.jsonl"]


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> Run:
    """The command's exit status and what it printed on stdout, or else its last line on stderr."""
    try:
        code = exit_status(lambda: main([str(argument) for argument in arguments]))
    except SystemExit as stop:
        code = int(stop.code or 0)
    out, err = capsys.readouterr()
    return Run(code, out or err.strip().splitlines()[-1])


@pytest.mark.usefixtures("bundle")
@pytest.mark.parametrize(
    ("lengths", "bad", "code"),
    [((100, 179), False, 0), ((100, 180), False, 1), ((100, 179), True, 1)],
)
def test_status_shows_whether_all_fits(
    tmp_path: Path,
    lengths: tuple[int, ...],
    bad: bool,
    code: int,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path, out = data_file(tmp_path, *lengths, bad=bad), tmp_path / "out.parquet"
    done = run(capsys, path, "--out", out)
    assert done.code == code and f"2 texts counted, {int(bad)} bad rows" in done.out
    assert parquet.read_table(out).num_rows == code


@pytest.mark.usefixtures("bundle")
def test_wrong_use_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = data_file(tmp_path, 100)
    content = path.read_bytes()
    cases = {
        ("missing.jsonl",): "missing.jsonl: there is no such file; check the path",
        ("owner/name",): "--revision with the 40 hex digits",
        (path, "--text-column", "body"): "no column 'body'; give --text-column one of text, price",
        (path, "--out", path): "that is the data set itself; give another file",
        (path, "--out", "rows.xls"): "--out rows.xls: give a file ending in .jsonl or .parquet",
        (path, "--out", tmp_path / "no" / "a.jsonl"): "No such file or directory; give another",
        (path, "--limit", "0"): "argument --limit: '0': give a whole number from 2 on",
        (path, "--model", "gpt"): "invalid choice: 'gpt'",
        (path, "--model-dir", tmp_path): "there is no tokenizer.json in",
    }
    for arguments, message in cases.items():
        done = run(capsys, "--model=smollm2", *arguments)
        assert (done.code, message in done.out) == (2, True), (arguments, done)
    assert path.read_bytes() == content and [*tmp_path.iterdir()] == [path]

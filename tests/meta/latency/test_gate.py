"""The latency gate in real runs: verdicts, and everything that must be refused."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from statistics import median
from types import SimpleNamespace
from typing import Any, cast
from xml.etree import ElementTree

import pytest

from tests.harness.latency.machine import identity
from tests.harness.latency.session import LatencyFigures, pytest_configure
from tests.harness.latency.statistics import lower_quartile
from tests.meta.conftest import Run, copy_project, run_pytest
from tests.meta.plugins.test_redaction import planted

ENCODE, RENDER = "test_encode_prompt[phi3]", "test_render_conversation[phi3]"
TOKENIZER = "tests/benchmarks/test_tokenizer_latency.py"
QUICK = (TOKENIZER, "--models", "phi3", "--benchmark-quiet", "-k", "encode_prompt or render")

Runner = Callable[..., Run]


@pytest.fixture(scope="module")
def latency_run(tmp_path_factory: pytest.TempPathFactory, bundle: dict[str, Path]) -> Runner:
    """Runs the two quickest benchmarks, with fewer rounds, in a copy of the project."""
    project = copy_project(tmp_path_factory.mktemp("latency") / "project")
    spec = project / "fixtures" / "benchmarks.toml"
    text = spec.read_text(encoding="utf-8")
    assert text.count("cpu = 600") == 2
    spec.write_text(text.replace("cpu = 600", "cpu = 60"), encoding="utf-8")

    def run(*arguments: str, **environment: Any) -> Run:
        return run_pytest(*QUICK, *arguments, cwd=project, **environment)

    return run


@pytest.fixture(scope="module")
def recorded(latency_run: Runner, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A baseline that a real run of two processes wrote, each of them ten times.

    Against twenty, two are enough for a verdict.
    """
    path = tmp_path_factory.mktemp("recorded") / "baseline.json"
    reports = ("--report-dir", str(path.parent), "--junitxml", str(path.parent / "junit.xml"))
    run = latency_run("--latency-save", str(path), "--latency-processes", "2", *reports)
    assert run.code == 0, run.out
    content = json.loads(path.read_bytes())
    for timed in content["benchmarks"].values():
        assert (len(timed["seconds"]), len(timed["pace"])) == (2, 2)
        timed["seconds"], timed["pace"] = 10 * timed["seconds"], 10 * timed["pace"]
    path.write_text(json.dumps(content))
    return path


SLOW = """
def pytest_collection_finish(session):
    from transformers import PreTrainedTokenizerBase as base

    encode = base.encode
    base.encode = lambda *args, **given: [encode(*args, **given) for _ in range(4)][0]
"""
BREAKS = """
import os

def pytest_collection_finish(session):
    if os.environ["PARENT"] != str(os.getppid()):
        raise SystemExit("planted")
"""


def test_recording_holds_machine_versions_and_both_benchmarks(recorded: Path) -> None:
    content = json.loads(recorded.read_bytes())
    assert set(content["benchmarks"]) == {ENCODE, RENDER}
    assert not content["controls"]  # only predictions are measured against the machine's rates
    assert content["machine"]["cpu"]["device"]
    assert {"transformers", "tokenizers", "torch"} <= set(content["versions"])


def test_save_adds_a_line_to_the_history(recorded: Path) -> None:
    (line,) = (recorded.parent / "baseline.history.jsonl").read_text().splitlines()
    assert set(json.loads(line)["medians"]) == {ENCODE, RENDER}


def test_report_holds_every_round_and_junit_the_figures(recorded: Path) -> None:
    rows = json.loads((recorded.parent / "report.json").read_bytes())["latency"]
    assert {row["name"] for row in rows} == {ENCODE, RENDER}
    for row in rows:
        figures = LatencyFigures(**row["figures"])
        assert (len(row["now"]), sum(map(len, row["now"]))) == (figures.processes, figures.rounds)
        assert figures.seconds == median(map(lower_quartile, row["now"])) and row["baseline"] == []
    properties = ElementTree.parse(recorded.parent / "junit.xml").iterfind(".//testcase//property")
    expected = {f"latency {row['name']}": json.dumps(row["figures"]) for row in rows}
    assert {entry.get("name"): entry.get("value") for entry in properties} == expected


def test_slower_path_fails_and_lost_and_new_benchmarks_are_named(
    latency_run: Runner, recorded: Path, tmp_path: Path
) -> None:
    content = json.loads(recorded.read_bytes())
    content["benchmarks"]["test_gone[phi3]"] = content["benchmarks"].pop(RENDER)
    content["versions"]["tokenizers"] = "0.1"
    path, junit = tmp_path / "changed.json", tmp_path / "junit.xml"
    path.write_text(json.dumps(content))
    compared = ("--latency-baseline", str(path), "--latency-processes", "2")
    run = latency_run(*compared, f"--junitxml={junit}", **planted(tmp_path, SLOW))
    assert run.code == 1
    line = run.line("tokenizer latency phi3 encode one price prompt: ")
    assert " -> " in line and " %, interval +" in line
    assert "likely cause: tokenizers 0.1 -> " in line
    assert f"rerun: pytest '{TOKENIZER}::{ENCODE}'" in run.out
    failures = ElementTree.parse(junit).findall(".//failure")
    assert [line.strip() in str(failure.get("message")) for failure in failures] == [True]
    assert f"{RENDER} ran and is not in {path}" in run.out
    assert f"test_gone[phi3] is in {path} and did not run" in run.out


@pytest.mark.slow
def test_one_process_is_inconclusive(latency_run: Runner, recorded: Path) -> None:
    run = latency_run("--latency-baseline", str(recorded), "--latency-processes", "1")
    assert run.code == 0, run.out
    assert "INCONCLUSIVE (" in run.line(f"{ENCODE} ")


def test_inconclusive_fails_the_gate_and_another_token_count_any_run(
    latency_run: Runner, recorded: Path, tmp_path: Path
) -> None:
    content = json.loads(recorded.read_bytes())
    other = {"tokens": 181, "tokenizer_files": "another", "code": "older", "parallelism": "true"}
    content["benchmarks"][ENCODE]["keys"] |= other
    path = tmp_path / "tokens.json"
    path.write_text(json.dumps(content))
    run = latency_run("--latency-baseline", str(path), "--latency-processes", "1", "--gate")
    assert run.code == 1
    line = run.line("encode one price")
    assert f"not comparable with {path}: tokens 181, here 180" in line
    assert all(f"; {name} {value!r}, here '" in line for name, value in list(other.items())[1:])
    assert "; INCONCLUSIVE; likely cause: " in run.line("render a conversation: ")
    assert " 2 failed" in run.out


def configure(**options: Any) -> str:
    """The line that refuses these options before anything runs; empty if they are accepted."""
    given = {"gate": False} | options
    config = SimpleNamespace(
        getoption=given.get, stash={}, get_verbosity=lambda: 0, option=SimpleNamespace()
    )
    try:
        pytest_configure(cast(pytest.Config, config))
    except pytest.UsageError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, ""),
        ({"machine": {"cpu": {"device": "Other", "cores": "2"}}}, "cpu: device 'Other', here '"),
        ({"format": 99}, "not a recording of format 2; record it again"),
        ({"controls": {"cpu: copy": []}}, "controls"),
        ({"benchmarks": {ENCODE: {"keys": {}, "seconds": [[-1.0]]}}}, "benchmarks"),
    ],
    ids=["accepted", "other_device", "other_format", "no_rounds", "negative_seconds"],
)
def test_baseline_that_cannot_be_compared_is_refused(
    tmp_path: Path, content: dict[str, Any], message: str
) -> None:
    path = tmp_path / "baseline.json"
    sound = {"format": 2, "machine": {"cpu": identity("cpu")}, "versions": {}}
    path.write_text(json.dumps(sound | content))
    line = configure(latency_baseline=str(path))
    assert message in line and bool(line) == bool(message)
    assert path.name in line or not message


@pytest.mark.parametrize("text", ["{", "[]"])
def test_corrupt_baseline_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "corrupt.json"
    path.write_text(text)
    line = configure(latency_baseline=str(path))
    assert line.startswith(f"{path}: not a recording")
    assert line.endswith("record it again with --latency-save")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"latency_save": "a", "latency_baseline": "b"}, "record in a run of its own"),
        ({"latency_save": "a", "numprocesses": 2}, "run without -n"),
        ({"latency_processes": 0}, "--latency-processes 0: at least 1"),
        ({"latency_save": ""}, "--latency-save: give a file"),
        ({"latency_save": "/no/such/a.json"}, "/no/such is no folder that can be written"),
        ({"latency_save": "/"}, "--latency-save /: is a folder; give a file"),
        ({"latency_baseline": "none"}, "none: no such file; record one with --latency-save none"),
    ],
    ids=[
        *("save_and_compare", "distributed", "no_process"),
        *("save_nowhere", "save_in_no_folder", "save_as_a_folder", "no_baseline"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any], message: str) -> None:
    assert message in configure(**options)


def test_damaged_history_is_told_before_anything_is_measured(tmp_path: Path) -> None:
    path = tmp_path / "baseline.json"
    sound = {"format": 2, "machine": {"cpu": identity("cpu")}, "versions": {}}
    path.write_text(json.dumps(sound))
    for damage in ("{", "[" * 100_000):
        (tmp_path / "baseline.history.jsonl").write_text(damage)
        for option in ("latency_save", "latency_baseline"):
            line = configure(**{option: str(path)})
            assert "baseline.history.jsonl: line 1 is no run of --latency-save" in line


def test_save_loses_no_benchmark_and_writes_nothing_after_a_failure(
    latency_run: Runner, recorded: Path, tmp_path: Path
) -> None:
    path = tmp_path / "kept.json"
    path.write_bytes(recorded.read_bytes())
    run = latency_run("-k", "render", "--latency-save", str(path), "--latency-processes=1")
    assert run.code == 1
    assert f"not written: it holds {ENCODE} and 0 more that did not run here" in run.out
    assert run.line("kept.json: not written: not every benchmark passed")
    assert path.read_bytes() == recorded.read_bytes()
    assert list(tmp_path.iterdir()) == [path]


def test_failed_process_is_one_line(latency_run: Runner, tmp_path: Path) -> None:
    save = ("--latency-save", str(tmp_path / "never.json"), "--latency-processes=2")
    run = latency_run(*save, **planted(tmp_path, BREAKS), PARENT=str(os.getpid()))
    assert run.code != 0
    assert run.line("latency: process 1 failed: ")
    assert not (tmp_path / "never.json").exists()


def test_beside_other_tests_benchmarks_are_left_out() -> None:
    where = ("tests/conformance/test_published.py", TOKENIZER, "--models", "phi3")
    run = run_pytest(*where, "--benchmark-quiet")
    assert run.code == 0
    assert run.line("latency: left out, because benchmarks run alone: pytest tests/benchmarks")
    assert "4 deselected" in run.out


@pytest.mark.parametrize(("options", "number"), [((), 6), (("--latency-all",), 17)])
def test_by_default_the_tasks_benchmarks_are_measured(
    options: tuple[str, ...], number: int
) -> None:
    """One load, one batch, no benchmark that only explains another; by name any of them runs."""
    run = run_pytest("tests/benchmarks", "--models", "smollm2", "--collect-only", "-q", *options)
    nodes = [line for line in run.out.splitlines() if "::" in line]
    assert run.code == 0 and len(nodes) == number, run.out
    first = "tests/benchmarks/test_prediction_latency.py::test_first_token[smollm2-cpu-bf16]"
    assert (first in nodes) == (number == 17)
    if number == 6:
        assert (
            "11 benchmarks beside those of the task left out; every one: --latency-all" in run.out
        )
        assert first in run_pytest(first, "--models", "smollm2", "--collect-only", "-q").out

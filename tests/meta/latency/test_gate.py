"""The latency gate in real runs: verdicts, and everything that must be refused."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from tests.meta.conftest import Run, run_pytest

ENCODE, RENDER = "test_encode_prompt[phi3]", "test_render_conversation[phi3]"
QUICK = ("tests/benchmarks/test_tokenizer_latency.py", "--models", "phi3", "--benchmark-quiet")
BOTH = (*QUICK, "-k", "encode_prompt or render")


def latency_run(*arguments: str) -> Run:
    """A real run of the two quickest benchmarks."""
    return run_pytest(*BOTH, *arguments)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory, bundle: dict[str, Path]) -> Path:
    """A baseline that a real run of two processes wrote, each of them copied: six are enough."""
    path = tmp_path_factory.mktemp("latency") / "baseline.json"
    run = latency_run("--latency-save", str(path), "--latency-processes", "2")
    assert run.code == 0, run.out
    content = json.loads(path.read_bytes())
    for timed in content["benchmarks"].values():
        timed["seconds"], timed["pace"] = 3 * timed["seconds"], 3 * timed["pace"]
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


@pytest.fixture
def planted(tmp_path: Path) -> Callable[[str], dict[str, Any]]:
    """The environment of a run, and of its further processes, with this plugin in it."""

    def plant(code: str) -> dict[str, Any]:
        (tmp_path / "planted.py").write_text(code)
        return {"PYTEST_PLUGINS": "planted", "PYTHONPATH": str(tmp_path)}

    return plant


def doctored(recorded: Path, tmp_path: Path, content: dict[str, Any]) -> Path:
    """A copy of the baseline with other content."""
    path = tmp_path / "doctored.json"
    path.write_text(json.dumps(json.loads(recorded.read_bytes()) | content), encoding="utf-8")
    return path


def test_recording_holds_machine_versions_and_every_process(recorded: Path) -> None:
    content = json.loads(recorded.read_bytes())
    assert set(content["benchmarks"]) == {ENCODE, RENDER}
    assert {len(it["seconds"]) for it in content["benchmarks"].values()} == {6}
    assert {len(it["pace"]) for it in content["benchmarks"].values()} == {6}
    assert not content["controls"]  # only predictions are measured against the machine's rates
    assert content["machine"]["cpu"]["device"]
    assert {"transformers", "tokenizers", "torch"} <= set(content["versions"])


def test_slower_path_fails_and_lost_and_new_benchmarks_are_said(
    recorded: Path, tmp_path: Path, planted: Callable[[str], dict[str, Any]]
) -> None:
    content = json.loads(recorded.read_bytes())
    content["benchmarks"]["test_gone[phi3]"] = content["benchmarks"].pop(RENDER)
    content["versions"]["tokenizers"] = "0.1"
    path, junit = doctored(recorded, tmp_path, content), tmp_path / "junit.xml"
    compared = ("--latency-baseline", str(path), "--latency-processes", "4")
    run = run_pytest(*BOTH, *compared, f"--junitxml={junit}", **planted(SLOW))
    assert run.code == 1
    line = run.line("tokenizer latency phi3 encode one price prompt: ")
    assert " -> " in line and " %, interval +" in line
    assert "likely cause: tokenizers 0.1 -> " in line
    assert f"rerun: pytest 'tests/benchmarks/test_tokenizer_latency.py::{ENCODE}'" in run.out
    failures = ElementTree.parse(junit).findall(".//failure")
    assert [line.strip() in str(it.get("message")) for it in failures] == [True]
    assert f"{RENDER} ran and is not in {path}" in run.out
    assert f"test_gone[phi3] is in {path} and did not run" in run.out


def test_one_process_is_inconclusive_and_red_under_the_gate(recorded: Path) -> None:
    alone = ("--latency-baseline", str(recorded), "--latency-processes", "1")
    run = latency_run(*alone)
    assert run.code == 0, run.out
    assert "INCONCLUSIVE (" in run.line(f"{ENCODE} ")
    gated = latency_run(*alone, "--gate")
    assert gated.code == 1
    assert "; INCONCLUSIVE; likely cause: " in gated.line("encode one price prompt: ")


def test_other_token_count_is_refused(recorded: Path, tmp_path: Path) -> None:
    content = json.loads(recorded.read_bytes())
    content["benchmarks"][ENCODE]["keys"]["tokens"] = 181
    path = tmp_path / "tokens.json"
    path.write_text(json.dumps(content))
    run = latency_run("--latency-baseline", str(path), "--latency-processes", "1")
    assert run.code == 1
    assert f"not comparable with {path}: tokens 181, here 180" in run.line("encode one price")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"machine": {"cpu": {"device": "Other", "cores": "2"}}}, "cpu: device 'Other', here '"),
        ({"format": 99}, "not a recording of format 2; record it anew"),
        ({"controls": {"cpu: copy": []}}, "controls"),
        ({"benchmarks": {ENCODE: {"keys": {}, "seconds": [[-1.0]]}}}, "benchmarks"),
    ],
    ids=["other_device", "other_format", "no_rounds", "negative_seconds"],
)
def test_baseline_that_cannot_be_compared_is_refused(
    recorded: Path, tmp_path: Path, content: dict[str, Any], message: str
) -> None:
    path = doctored(recorded, tmp_path, content=content)
    run = latency_run("--latency-baseline", str(path))
    assert run.code == pytest.ExitCode.USAGE_ERROR
    assert message in run.line(path.name)


@pytest.mark.parametrize("text", ["", "{", "[]", "\0"])
def test_corrupt_baseline_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "corrupt.json"
    path.write_text(text)
    run = latency_run("--latency-baseline", str(path))
    assert run.code == pytest.ExitCode.USAGE_ERROR
    assert "record it anew with --latency-save" in run.line("corrupt.json: not a recording")


def test_missing_baseline_is_refused(tmp_path: Path) -> None:
    run = latency_run("--latency-baseline", str(tmp_path / "none.json"))
    assert run.code == pytest.ExitCode.USAGE_ERROR
    assert run.line("no such file; record one with --latency-save")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--latency-save", "a", "--latency-baseline", "b"), "record in a run of its own"),
        (("--latency-save", "a", "-n", "2"), "run without -n"),
        (("--latency-processes", "0"), "--latency-processes 0: at least 1"),
    ],
    ids=["save_and_compare", "distributed", "no_process"],
)
def test_options_that_make_no_sense_are_refused(arguments: tuple[str, ...], message: str) -> None:
    run = latency_run(*arguments)
    assert run.code == pytest.ExitCode.USAGE_ERROR
    assert run.line(message)


def test_save_loses_no_benchmark(recorded: Path, tmp_path: Path) -> None:
    path = tmp_path / "kept.json"
    path.write_bytes(recorded.read_bytes())
    run = run_pytest(*QUICK, "-k", "render", "--latency-save", str(path), "--latency-processes=1")
    assert run.code == 1
    assert f"not written: it holds {ENCODE} and 0 more that did not run here" in run.out
    assert path.read_bytes() == recorded.read_bytes()


def test_failed_benchmark_saves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "never.json"
    run = latency_run("--latency-save", str(path), "--latency-processes=1", "--benchmark-disable")
    assert run.code == 1
    assert run.line("nothing is timed under --benchmark-disable")
    assert run.line("never.json: not written: not every benchmark passed")
    assert list(tmp_path.iterdir()) == []


def test_failed_process_is_one_line(
    tmp_path: Path, planted: Callable[[str], dict[str, Any]]
) -> None:
    save = ("--latency-save", str(tmp_path / "never.json"), "--latency-processes=2")
    run = run_pytest(*BOTH, *save, **planted(BREAKS), PARENT=str(os.getpid()))
    assert run.code != 0
    assert run.line("latency: process 1 failed: ")


def test_beside_other_tests_benchmarks_are_left_out() -> None:
    run = run_pytest("tests/conformance/test_published.py", *QUICK)
    assert run.code == 0
    assert run.line("latency: left out, because benchmarks run alone: pytest tests/benchmarks")
    assert "4 deselected" in run.out

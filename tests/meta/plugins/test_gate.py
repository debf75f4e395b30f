"""The gate, the matrix, the header and the exit codes: a run says what it did not check."""

import re
from collections import Counter
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.harness.snapshots.file import read_snapshot_file
from tests.meta.conftest import Run, copy_project, run_pytest
from tests.meta.support.small_project import (
    FIRST,
    IDS,
    KNOWN,
    LAST,
    MODES,
    SNAPSHOTS,
    TROUBLE,
    change,
    count_again,
    edit,
    plant,
    shrink,
    small,
)

__all__ = ["small"]  # a fixture


LOST = ("plain.empty", "plain.single_letter")  # their recordings are removed
WORDS = {"FAILED": "failed", "ERROR": "error", "known": "xfailed", "skipped": "skipped"}


@pytest.fixture(scope="module")
def harmed(tmp_path_factory: pytest.TempPathFactory, bundle: dict[str, Path]) -> dict[str, Run]:
    """Gated runs of a project with one trouble of every kind, alone and distributed."""
    project = shrink(copy_project(tmp_path_factory.mktemp("harmed")))
    change(project)
    path = project / SNAPSHOTS / IDS
    blocks = {**read_snapshot_file(path).blocks, "plain.gone": "1 'a'"}
    edit(path, {name: rows for name, rows in blocks.items() if name not in LOST})
    known = project / "fixtures" / "upstream_issues.toml"
    known.write_text(known.read_text() + KNOWN)
    plant(project, LAST, TROUBLE)
    count_again(project)
    return {name: run_pytest("--gate", *mode, cwd=project) for name, mode in MODES.items()}


def matrix_totals(run: Run) -> Counter[str]:
    """The numbers of the matrix's cells, summed up under pytest's words."""
    totals: Counter[str] = Counter()
    cells = run.line("phi3  ").removeprefix("phi3")
    for number, word in re.findall(r"(\d+)(?: ([A-Za-z]+))?", cells):
        totals[WORDS.get(word, "passed")] += int(number)
    return totals


def pytest_totals(run: Run) -> Counter[str]:
    """The numbers of pytest's last line."""
    summary = run.out.splitlines()[-1]
    found = re.findall(r"(\d+) (passed|failed|error|xfailed|skipped)", summary)
    return Counter({word: int(number) for number, word in found})


@pytest.mark.parametrize("mode", MODES)
def test_matrix_numbers_are_pytests(harmed: dict[str, Run], mode: str) -> None:
    totals = matrix_totals(harmed[mode])
    assert totals == pytest_totals(harmed[mode])
    assert set(totals) == {"passed", *WORDS.values()}, "not every outcome was planted"


def test_matrix_is_the_same_distributed(harmed: dict[str, Run]) -> None:
    alone, distributed = (run.line("phi3  ") for run in harmed.values())
    assert alone == distributed


@pytest.mark.parametrize("mode", MODES)
def test_gate_names_each_thing_once(harmed: dict[str, Run], mode: str) -> None:
    assert harmed[mode].code == 1
    assert [line for line in harmed[mode].out.splitlines() if line.startswith("gate: ")] == [
        "gate: conformance on cpu, 1 model: 229 of 232 checks",
        "gate: 2 skipped: planted reason",
        f"gate: missing snapshots: {IDS}: {', '.join(LOST)}; record with --snapshot-update",
        f"gate: unused snapshots: {IDS}: plain.gone; remove with --snapshot-prune",
    ]


def test_nothing_is_called_unused_after_a_stop(small: Path) -> None:
    """Distributed, the tests that did not run are known to no one."""
    plant(small, FIRST, "def test_plant(): assert False\n")
    run = run_pytest("-x", "-n", "2", cwd=small)
    assert run.code == 2
    assert "unused snapshots" not in run.out


def test_header_says_what_is_tested(bundle: dict[str, Path]) -> None:
    folder = bundle["phi3"]
    given = ("--models", "phi3,smollm2", "--model-dir", f"phi3={folder}", "--gate")
    run = run_pytest("--collect-only", "-k", "no_such_test", *given, CI="1")
    for package in ("transformers", "tokenizers"):
        assert f"{package} {version(package)}" in run.line("conformance: python")
    for line in (
        f"conformance: source bundle, phi3={folder}",
        "conformance: models phi3, smollm2",
        "conformance: options gate (CI)",
    ):
        assert run.line(line) == line

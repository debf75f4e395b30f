"""`--report-dir` in real runs: the same data as in the terminal and JUnit, of every outcome."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from pydantic import TypeAdapter

from tests.harness.data.registry import registry
from tests.harness.diff import Evidence
from tests.harness.memory.footprint import footprint
from tests.harness.model.figures import LoadFigures
from tests.harness.reports.data import FORMAT, Report
from tests.harness.reports.page import page
from tests.meta.conftest import Run, copy_project, run_pytest
from tests.meta.support.html_reader import read
from tests.meta.support.small_project import (
    CASE,
    KNOWN,
    LAST,
    MODES,
    NODE,
    PROMPTS,
    QUICK_MODES,
    TROUBLE,
    change,
    count_again,
    plant,
    shrink,
)

FILES = {"report.json", "report.html"}
JOKE, DECLARED = "task.joke", "special_tokens.double_bos"  # a conversation, a text
Reported = tuple[Run, Path, dict[str, Any]]


def reported(project: Path, *options: str) -> tuple[Run, dict[str, Any]]:
    """A run of a small project and its report; nothing else is left in the folder."""
    folder = project / "out" / "report"
    run = run_pytest("--report-dir", str(folder), *options, cwd=project)
    assert {path.name for path in folder.iterdir()} == FILES, run.out
    data: dict[str, Any] = json.loads((folder / "report.json").read_bytes())
    assert (folder / "report.html").read_text(encoding="utf-8") == page(data)
    return run, data


@pytest.fixture(scope="module", params=QUICK_MODES)
def drifted(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, bundle: Any
) -> Reported:
    """A gated run with drifts of ids and of a prompt, a known failure, an error and skips."""
    project = shrink(copy_project(tmp_path_factory.mktemp("drifted") / "project"))
    change(project)
    change(project, PROMPTS, JOKE)
    known = project / "fixtures" / "upstream_issues.toml"
    known.write_text(known.read_text() + KNOWN.replace(CASE, DECLARED))
    change(project, case=DECLARED)
    plant(project, LAST, TROUBLE)
    count_again(project)
    options = ("--gate", "--junitxml", str(project / "junit.xml"), *MODES[request.param])
    run, data = reported(project, *options)
    return run, project, data


def test_first_lines_are_the_same_everywhere(drifted: Reported) -> None:
    run, project, data = drifted
    failed = [failure for failure in data["failures"] if failure["outcome"] == "failed"]
    first_lines = {failure["node"]: failure["first_line"] for failure in failed}
    assert len(first_lines) == 2 and NODE in first_lines
    suites = ElementTree.parse(project / "junit.xml").iter("failure")
    junit = {(it.text or "").splitlines()[0] for it in suites}
    assert junit == set(first_lines.values())
    html = (project / "out" / "report" / "report.html").read_text(encoding="utf-8")
    for line in first_lines.values():
        assert line.startswith("phi3 ") and "; likely cause: " in line
        assert line in run.out.splitlines()
        assert line in read(html).text


def test_json_is_what_is_documented(drifted: Reported) -> None:
    """Every field, of its type, and no other."""
    _, _, data = drifted
    assert asdict(TypeAdapter(Report).validate_python(data)) == data
    assert data["format"] == FORMAT
    for evidence in (failure["evidence"] for failure in data["failures"]):
        assert evidence is None or evidence.keys() == Evidence.__annotations__.keys()


def test_report_holds_all_outcomes(drifted: Reported) -> None:
    run, _, data = drifted
    kinds = {f["node"]: (f["evidence"] or {}).get("kind") for f in data["failures"]}
    assert kinds.pop(NODE) == "tokens" and sorted(map(str, kinds.values())) == ["None", "lines"]
    assert [failure["outcome"] for failure in data["failures"]].count("error") == 1
    assert (data["verdict"], data["stopped"], data["exit_code"]) == ("red", "", 1)
    assert data["selected"] == sum(data["counts"].values())
    assert [group["count"] for group in data["known"]] == [1]
    assert data["known"][0]["reason"] == "planted: planted (https://example.org/1)"
    assert data["known"][0]["tests"][0]["first_line"].startswith(f"phi3 {DECLARED}: ids snapshot")
    skipped = [(group["reason"], group["count"], len(group["tests"])) for group in data["skipped"]]
    assert skipped == [("planted reason", 2, 2)]
    assert data["problems"] == ["gate: 2 skipped: planted reason"]
    assert [run.line("phi3  ").split()[0]] == [row[0] for row in data["matrix"][1:]]
    assert run.line("report: ").endswith("report.html")


@pytest.mark.parametrize("mode", [(), pytest.param(("-n", "1"), marks=pytest.mark.slow)], ids=MODES)
def test_memory_of_a_real_load(tmp_path: Path, mode: tuple[str, ...]) -> None:
    where = ("tests/quantized/test_memory.py", "--models", "smollm2", "-k", "footprint and bf16")
    run = run_pytest(*where, "--report-dir", str(tmp_path), *mode)
    assert run.code == 0, run.out
    (load,) = json.loads((tmp_path / "report.json").read_bytes())["memory"]
    assert load["name"] == "smollm2-cpu-bf16"
    expected = footprint(registry()["smollm2"], "bf16").total
    assert LoadFigures(**load["figures"]).footprint == expected

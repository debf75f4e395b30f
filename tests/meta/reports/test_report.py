"""`--report-dir` in real runs: what it says is what the terminal and JUnit say, however it ends."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from pydantic import TypeAdapter

from tests.harness.data.registry import registry
from tests.harness.diff import Evidence
from tests.harness.latency.session import LatencyFigures
from tests.harness.latency.statistics import lower_quartile
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
    TROUBLE,
    change,
    plant,
    shrink,
)

FILES = {"report.json", "report.html"}
JOKE, DECLARED = "task.joke", "special_tokens.double_bos"  # a conversation, a text
Seen = tuple[Run, Path]


def reported(project: Path, *options: str) -> tuple[Run, dict[str, Any]]:
    """A run of a small project and its report; nothing else is left in the folder."""
    folder = project / "out" / "report"
    run = run_pytest("--report-dir", str(folder), *options, cwd=project)
    assert {it.name for it in folder.iterdir()} == FILES, run.out
    data: dict[str, Any] = json.loads((folder / "report.json").read_bytes())
    assert (folder / "report.html").read_text(encoding="utf-8") == page(data)
    return run, data


@pytest.fixture(scope="module", params=MODES)
def drifted(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, bundle: Any
) -> Seen:
    """A gated run with drifts of ids and of a prompt, a known failure, an error and skips."""
    project = shrink(copy_project(tmp_path_factory.mktemp("drifted") / "project"))
    change(project)
    change(project, PROMPTS, JOKE)
    known = project / "fixtures" / "upstream_issues.toml"
    known.write_text(known.read_text() + KNOWN.replace(CASE, DECLARED))
    change(project, case=DECLARED)
    plant(project, LAST, TROUBLE)
    options = ("--gate", "--junitxml", str(project / "junit.xml"), *MODES[request.param])
    run, _ = reported(project, *options)
    return run, project


def data_of(project: Path) -> dict[str, Any]:
    """The report's data."""
    data: dict[str, Any] = json.loads((project / "out" / "report" / "report.json").read_bytes())
    return data


def test_first_lines_are_the_same_everywhere(drifted: Seen) -> None:
    run, project = drifted
    data = data_of(project)
    found = {it["node"]: it["first_line"] for it in data["failures"] if it["outcome"] == "failed"}
    assert len(found) == 2 and NODE in found
    suites = ElementTree.parse(project / "junit.xml").iter("failure")
    junit = {(it.text or "").splitlines()[0] for it in suites}
    assert junit == set(found.values())
    html = (project / "out" / "report" / "report.html").read_text(encoding="utf-8")
    for line in found.values():
        assert line.startswith("phi3 ") and "; likely cause: " in line
        assert line in run.out.splitlines()
        assert line in read(html).text


def test_json_is_what_is_documented(drifted: Seen) -> None:
    """Every field, of its type, and no other."""
    _, project = drifted
    data = data_of(project)
    assert asdict(TypeAdapter(Report).validate_python(data)) == data
    assert data["format"] == FORMAT
    for it in data["failures"]:
        assert it["evidence"] is None or it["evidence"].keys() == Evidence.__annotations__.keys()


def test_report_tells_all_outcomes(drifted: Seen) -> None:
    run, project = drifted
    data = data_of(project)
    kinds = {it["node"]: (it["evidence"] or {}).get("kind") for it in data["failures"]}
    assert kinds.pop(NODE) == "tokens" and sorted(map(str, kinds.values())) == ["None", "lines"]
    assert [it["outcome"] for it in data["failures"]].count("error") == 1
    assert (data["verdict"], data["stopped"], data["exit_code"]) == ("red", "", 1)
    assert data["selected"] == sum(data["counts"].values())
    assert [it["count"] for it in data["known"]] == [1]
    assert data["known"][0]["reason"] == "planted: planted (https://example.org/1)"
    assert data["known"][0]["tests"][0]["first_line"].startswith(f"phi3 {DECLARED}: ids snapshot")
    skipped = [(it["reason"], it["count"], len(it["tests"])) for it in data["skipped"]]
    assert skipped == [("planted reason", 2, 2)]
    assert data["problems"] == ["gate: 2 skipped: planted reason"]
    assert [run.line("phi3  ").split()[0]] == [row[0] for row in data["matrix"][1:]]
    assert run.line("report: ").endswith("report.html")


def test_rounds_of_a_real_benchmark(tmp_path: Path) -> None:
    """Every round in the report; JUnit has the figures alone."""
    junit = tmp_path / "junit.xml"
    options = ("--report-dir", str(tmp_path), "--junitxml", str(junit))
    run = run_pytest("tests/benchmarks", "--models", "phi3", "-k", "encode_prompt", *options)
    assert run.code == 0, run.out
    (found,) = json.loads((tmp_path / "report.json").read_bytes())["latency"]
    figures = LatencyFigures(**found["figures"])
    assert (len(found["now"]), len(found["now"][0])) == (figures.processes, figures.rounds)
    assert figures.seconds == lower_quartile(found["now"][0]) and found["baseline"] == []
    told = next(ElementTree.parse(junit).iterfind(".//testcase//property")).attrib
    assert told == {"name": f"latency {found['name']}", "value": json.dumps(found["figures"])}


@pytest.mark.parametrize("mode", MODES)
def test_memory_of_a_real_load(tmp_path: Path, mode: str) -> None:
    where = ("tests/quantized/test_memory.py", "--models", "smollm2", "-k", "footprint and bf16")
    run = run_pytest(*where, "--report-dir", str(tmp_path), *MODES[mode])
    assert run.code == 0, run.out
    (found,) = json.loads((tmp_path / "report.json").read_bytes())["memory"]
    assert found["name"] == "smollm2-cpu-bf16"
    assert (
        LoadFigures(**found["figures"]).footprint == footprint(registry()["smollm2"], "bf16").total
    )

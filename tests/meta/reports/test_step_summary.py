"""The step summary where writing it is hard: no run, mistakes, too much text, no space left."""

import resource
from pathlib import Path

import pytest

from tests.harness.plugins.results import Finding, Results
from tests.harness.reports.github import MOST_BYTES, append, summary
from tests.meta.conftest import run_pytest
from tests.meta.support.small_project import FIRST, count_again, plant


def test_mistake_in_the_data_is_shown_at_its_line(small: Path, tmp_path: Path) -> None:
    models = small / "fixtures" / "models.toml"
    content = models.read_text(encoding="utf-8")
    models.write_text(f"{content}\nno equals sign\n", encoding="utf-8")
    summary = tmp_path / "summary.md"
    run = run_pytest(cwd=small, GITHUB_ACTIONS="true", GITHUB_STEP_SUMMARY=str(summary))
    assert run.code == 4
    line = content.count("\n") + 2
    assert run.line("::error ").startswith(
        f"::error file=fixtures/models.toml,line={line},title=model conformance::fixtures/models"
    )
    assert "Red, nothing ran\n\nproblems of the run: 1.\n" in summary.read_text()
    assert run.line("ERROR: fixtures/").removeprefix("ERROR: ") in summary.read_text()


def test_problems_of_the_gate_are_shown(small: Path, tmp_path: Path) -> None:
    plant(small, FIRST, "import pytest\ndef test_skip(): pytest.skip('planted')\n")
    count_again(small)
    summary = tmp_path / "summary.md"
    step = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(summary)}
    assert run_pytest(cwd=small, **step).code == 0
    assert "Green\n\n100 passed, 1 skipped.\n" in summary.read_text()
    run = run_pytest("--gate", cwd=small, **step)
    assert run.code == 1
    assert "::error title=model conformance::gate: 1 skipped: planted" in run.out
    last = summary.read_text().rpartition("## ")[2]
    assert "Red\n\n100 passed, 1 skipped, problems of the run: 1.\n" in last
    assert "```text\n1 skipped: planted\n```" in last


@pytest.mark.parametrize("option", ["--help", "--collect-only"])
def test_nothing_is_written_where_nothing_ran(small: Path, tmp_path: Path, option: str) -> None:
    summary = tmp_path / "summary.md"
    assert run_pytest(option, cwd=small, GITHUB_STEP_SUMMARY=str(summary)).code == 0
    assert not summary.exists()


@pytest.mark.parametrize("before", [0, 600_000])
def test_summary_stays_under_the_limit(tmp_path: Path, before: int) -> None:
    """One line alone is larger than a whole summary may be; what matters most is kept."""
    lines = {"test_0": ("`" * 2_000_000,)} | {f"test_{n}": ("x" * 2000,) * 60 for n in range(1, 25)}
    findings = {node: Finding(node, "failed", text) for node, text in lines.items()}
    results = Results(outcomes=dict.fromkeys(findings, "failed"), findings=findings)
    path = tmp_path / "summary.md"
    path.write_text("x" * before)
    append(path, summary(1, results, ["models phi3"]))
    text = path.read_text()
    assert before + 300_000 < path.stat().st_size <= MOST_BYTES
    assert "\nLeft out, for a step's summary has 1 MiB: " in text
    assert text.startswith("x" * before + "\n\n## Model" if before else "## Model")
    assert "Red\n\n25 failed." in text and "\nmodels phi3\n" in text
    assert "(2,000,000 characters in all)" in text and "(19 more lines)" in text


def test_full_summary_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "summary.md"
    path.write_bytes(b"x" * (MOST_BYTES - 10))
    with pytest.raises(OSError, match="earlier commands of this step took its 1 MiB"):
        append(path, ["a part that does not fit"])
    assert path.stat().st_size == MOST_BYTES - 10


@pytest.mark.parametrize("place", ["/dev/full", "folder"])
def test_summary_that_cannot_be_written_is_one_line(
    small: Path, tmp_path: Path, place: str
) -> None:
    (tmp_path / "folder").mkdir()
    run = run_pytest(cwd=small, GITHUB_STEP_SUMMARY=str(tmp_path / place))
    assert run.code == 0
    assert run.out.splitlines()[-1].startswith("GITHUB_STEP_SUMMARY: no summary written: ")
    assert "Traceback" not in run.out


def test_half_written_summary_is_taken_back(tmp_path: Path) -> None:
    summary = tmp_path / "summary.md"
    summary.write_text("an earlier command's last line")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(OSError, match="No space left"):
            append(summary, ["a part" * 1000])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert summary.read_text() == "an earlier command's last line"

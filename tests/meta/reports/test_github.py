"""What GitHub and JUnit files show: the same first lines, once, whole, and nothing else."""

import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote
from xml.etree import ElementTree

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

from tests.harness.reports.github import annotation, code_block
from tests.harness.text import readable
from tests.meta.conftest import Run, copy_project, run_pytest
from tests.meta.support.small_project import FIRST, LAST, MODES, plant, shrink

HOSTILE = "a\n```\n# title\n<script>x</script>| b | ````` `c` %0A\n::error::mine\x1b[2J\u202e"
TROUBLE = f"""
import os
import pytest

@pytest.fixture
def bad():
    raise RuntimeError("planted")

def test_error(bad):
    pass

def test_hostile():
    pytest.fail({HOSTILE!r}, pytrace=False)

def test_children_see_no_step():
    assert {{"GITHUB_STEP_SUMMARY", "GITHUB_ACTIONS"}}.isdisjoint(os.environ)

def test_measured(request):
    request.node.user_properties.append(("memory planted", '{{"peak": 1}}'))
"""
MORE = "import pytest\n@pytest.mark.parametrize('n', range(20))\ndef test_more(n): assert False\n"
NEXT = ("rerun: ", "if intended: ")
BEFORE = "an earlier command's last line"


@dataclass(frozen=True)
class Step:
    """A run in a step of GitHub's, and the files it left."""

    run: Run
    summary: str
    junit: ElementTree.Element

    def errors(self) -> list[tuple[dict[str, str], str]]:
        """Properties and message of each annotation, as GitHub reads them."""
        return [parsed(line) for line in self.run.out.splitlines() if line.startswith("::error ")]


def parsed(line: str) -> tuple[dict[str, str], str]:
    """Properties and message of an error, as GitHub reads it."""
    match = re.fullmatch(r"::error (.*?)::(.*)", line)
    assert match is not None, line
    pairs = [pair.partition("=") for pair in match[1].split(",")]
    return {name: unquote(value) for name, _, value in pairs}, unquote(match[2])


def swap_ids(folder: Path) -> None:
    """Plant a drift: two common tokens with each other's ids."""
    path = folder / "tokenizer.json"
    content = json.loads(path.read_bytes())
    ids = content["model"]["vocab"]
    ids["\u2581the"], ids["\u2581of"] = ids["\u2581of"], ids["\u2581the"]
    path.write_text(json.dumps(content), encoding="utf-8")


@pytest.fixture(scope="module")
def steps(tmp_path_factory: pytest.TempPathFactory, bundle: dict[str, Path]) -> dict[str, Step]:
    """Runs of a project with a drift and other trouble, alone and distributed."""
    repository = tmp_path_factory.mktemp("repository")
    project = shrink(copy_project(repository / "suite"))
    plant(project, FIRST, TROUBLE)
    plant(project, "tests/conformance/test_y_plant.py", MORE)
    plant(project, LAST, "import no_such_module\n")
    drifted = Path(shutil.copytree(bundle["phi3"], repository / "drifted"))
    swap_ids(drifted)
    options = ("--continue-on-collection-errors", "--model-dir", f"phi3={drifted}")
    return {name: step(project, repository, name, *options, *mode) for name, mode in MODES.items()}


def step(project: Path, repository: Path, name: str, *options: str) -> Step:
    """Run the suite as a step whose summary has text already."""
    summary, junit = repository / f"{name}.md", repository / f"{name}.xml"
    summary.write_text(BEFORE)
    run = run_pytest(
        *("--junitxml", str(junit), *options),
        cwd=project,
        GITHUB_ACTIONS="true",
        GITHUB_STEP_SUMMARY=str(summary),
        GITHUB_WORKSPACE=str(repository),
    )
    return Step(run, summary.read_text(encoding="utf-8"), ElementTree.parse(junit).getroot())


def tokens(markdown: str) -> list[Token]:
    """The text as GitHub's dialect of Markdown reads it: tables, and HTML as such."""
    parser = MarkdownIt("commonmark", {"html": True}).enable("table")
    outer = parser.parse(markdown)
    return [each for token in outer for each in (token, *(token.children or []))]


def blocks(one: Step) -> list[list[str]]:
    """The lines of every block of code in the summary."""
    return [token.content.splitlines() for token in tokens(one.summary) if token.type == "fence"]


def first_lines(one: Step) -> set[str]:
    """The first line of every failure in the JUnit file."""
    messages = [failure.get("message") for failure in one.junit.iter("failure")]
    return {message.splitlines()[0] for message in messages if message}


@pytest.mark.parametrize("mode", MODES)
def test_drift_has_one_first_line_everywhere(steps: dict[str, Step], mode: str) -> None:
    one = steps[mode]
    drifts = {line for line in first_lines(one) if line.startswith("phi3")}
    assert len(drifts) == 6
    assert drifts <= set(one.run.out.splitlines())
    failures = [lines for lines in blocks(one) if lines[-1].startswith(NEXT)]
    assert len(failures) == 20
    assert "### Failures, the first 20 of 29\n" in one.summary
    messages = [message.splitlines() for _, message in one.errors()]
    assert messages.pop() == ["20 more errors: see the step's summary and its log"]
    assert len(messages) == 9
    for lines in (failures, messages):
        last_lines = {line[0]: line[-1] for line in lines if line[0] in drifts}
        assert last_lines.keys() == drifts
        assert all(last.startswith(NEXT) for last in last_lines.values())


def test_summary_is_the_same_distributed(steps: dict[str, Step]) -> None:
    assert steps["alone"].summary == steps["distributed"].summary
    assert steps["alone"].errors() == steps["distributed"].errors()


@pytest.mark.parametrize("mode", MODES)
def test_summary_is_appended_once(steps: dict[str, Step], mode: str) -> None:
    one = steps[mode]
    assert one.summary.startswith(f"{BEFORE}\n\n## Model conformance: Red\n")
    assert one.summary.count("## Model conformance") == 1
    totals = re.search(r"(\d+) failed, (\d+) passed, .*?(\d+) error", one.run.out)
    assert totals is not None
    failed, passed, errors = totals.groups()
    assert f"{failed} failed, {errors} with an error, {passed} passed.\n" in one.summary
    cells = [row.content for row in tokens(one.summary) if row.type == "inline"]
    assert cells[3:6] == ["", "batches", "chat"]


def test_annotations_are_at_the_fault(steps: dict[str, Step]) -> None:
    fixture, module, failure, *_ = steps["alone"].errors()
    assert module[0] == {"file": f"suite/{LAST}", "title": f"{LAST}: error"}
    assert module[1].splitlines()[0] == "ModuleNotFoundError: No module named 'no_such_module'"
    lines = TROUBLE.splitlines()
    assert fixture[0]["file"] == failure[0]["file"] == f"suite/{FIRST}"
    assert lines[int(fixture[0]["line"]) - 1] == "def test_error(bad):"
    assert lines[int(failure[0]["line"]) - 1] == "def test_hostile():"
    assert fixture[1].splitlines()[0] == "RuntimeError: planted"
    assert fixture[1].splitlines()[-1] == f"rerun: pytest '{FIRST}::test_error'"


def test_hostile_text_stays_text(steps: dict[str, Step]) -> None:
    one = steps["alone"]
    parsed_summary = tokens(one.summary)
    assert not [token for token in parsed_summary if token.type.startswith("html")]
    headings = [token for token in parsed_summary if token.type == "heading_open"]
    assert [token.tag for token in headings] == ["h2", "h3"]
    (hostile,) = [lines for lines in blocks(one) if lines[0] == "a"]
    assert hostile[4].endswith(":error::mine\\u001b[2J\\u202e")
    assert "\x1b" not in one.summary
    assert one.errors()[2][1].splitlines()[0] == "a"


@pytest.mark.parametrize("mode", MODES)
def test_junit_holds_what_ran(steps: dict[str, Step], mode: str) -> None:
    suite = steps[mode].junit.find("testsuite/properties")
    assert suite is not None
    given = {entry.get("name"): entry.get("value") for entry in suite}
    assert given["source phi3"] == "directory"
    assert given["device"] == "no CUDA device"
    assert {"version transformers", "version tokenizers", "version python"} <= given.keys()
    measured = steps[mode].junit.findall(".//testcase/properties/property")
    assert [(entry.get("name"), entry.get("value")) for entry in measured] == [
        ("memory planted", '{"peak": 1}')
    ]


@pytest.mark.parametrize("text", [HOSTILE, "`", "``` `` `", " ", "a|b", "<b>", "\\|", "*x*[y](z)"])
def test_no_text_leaves_its_code(text: str) -> None:
    shown = [token for token in tokens(code_block(text.split("\n"))) if token.type != "inline"]
    assert [token.type for token in shown] == ["fence"]


@pytest.mark.parametrize("text", ["50%0A", "a,b=c:d::e", "x\r::error::y", "%25", "x\n::error::y"])
def test_error_gives_its_text_back(text: str) -> None:
    line = annotation([text], file=text, line=3, title=text)
    assert len(line.splitlines()) == 1
    assert parsed(line) == ({"file": text, "line": "3", "title": text}, readable(text))

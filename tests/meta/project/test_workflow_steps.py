"""The steps of the workflows do here, as they stand, what they are for."""

import re
import shutil
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from packaging.version import Version

from tests.harness.data.registry import default_keys, registry
from tests.meta.conftest import PROJECT, copy_project
from tests.meta.support.hub_runs import CANARY, file_requests
from tests.meta.support.hub_server import Seen, serve
from tests.meta.support.workflow_steps import COMPARE, FETCH, GITHUB, STEPS, run_step


@dataclass(frozen=True)
class Expected:
    """How a step ends on this machine: exit code, a line of its output, files it leaves."""

    code: int = 0
    says: str = ""
    leaves: tuple[str, ...] = ()
    given: dict[str, str] = field(default_factory=dict)


# What is installed already must do: a step that would fetch a package fails.
INSTALL = Expected(says="Requirement already satisfied", given={"PIP_NO_INDEX": "1"})

REPORT = ("report/report.html", "junit.xml")

EXPECTED = {
    "tests.yml suite: Install": INSTALL,
    "tests.yml suite: Test": Expected(says="conformance: models phi3", leaves=REPORT),
    "tests.yml own-tests: Install": INSTALL,
    # Narrowed to a module: all of them would be this one, too.
    "tests.yml own-tests: Test": Expected(
        says=" passed",
        leaves=("junit.xml",),
        given={"PYTEST_ADDOPTS": "--ignore-glob=*/test_[!g]* -k test_no_text_leaves"},
    ),
    "gpu.yml quantized: Install": INSTALL,
    "gpu.yml quantized: Test": Expected(
        1,
        "gate: there is no CUDA device, and -m 'gpu' selects tests that need one",
        leaves=REPORT,
        given={"CUDA_VISIBLE_DEVICES": ""},
    ),
    "drift.yml newest: Install": INSTALL,
}


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory, bundle: dict[str, Path]) -> Path:
    """What a runner has checked out; the bundle is warm."""
    project = copy_project(tmp_path_factory.mktemp("workspace") / "suite")
    shutil.copy(PROJECT / "requirements.txt", project)
    shutil.copytree(GITHUB, project / ".github")
    return project


def test_every_step_is_expected_to_do_something() -> None:
    assert set(STEPS) == {*EXPECTED, FETCH, COMPARE}


# Where this test runs, these two do too.
SLOW = ("tests.yml suite: Test", "tests.yml own-tests: Test")
NAMED = [pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else []) for name in EXPECTED]


@pytest.mark.parametrize("name", NAMED)
def test_step_runs_as_it_stands(checkout: Path, tmp_path: Path, name: str) -> None:
    expected = EXPECTED[name]
    run = run_step(STEPS[name], checkout, tmp_path, {"MODELS": "phi3", **expected.given})
    assert run.code == expected.code, run.out[-3000:]
    run.line(expected.says)
    if name.endswith(": Test"):
        ends = "Red" if expected.code else "Green"
        assert (tmp_path / "summary.md").read_text().startswith(f"## Model conformance: {ends}\n")
    for file in expected.leaves:
        assert (checkout / file).stat().st_size > 0, file
        (checkout / file).unlink()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tests.yml suite: Test", "gpu.yml quantized: Test"])
def test_without_a_choice_all_models_are_meant(checkout: Path, tmp_path: Path, name: str) -> None:
    narrowed = "--collect-only -q --ignore-glob=*/test_[!fm]*"  # of files and memory alone
    given = {"MODELS": "", "PYTEST_ADDOPTS": narrowed, "HF_HUB_OFFLINE": "1"}
    run = run_step(STEPS[name], checkout, tmp_path, given)
    assert "[llama3_1-" in run.out, run.out[-2000:]


def test_fetching_step_alone_has_the_token(
    checkout: Path, tmp_path: Path, bundle: dict[str, Path]
) -> None:
    """The hub on the loopback has all tokenizer files, but no weights, which are of 16 GB."""
    seen: list[Seen] = []
    folders = {model.hub_id: bundle[key] for key, model in registry().items() if model.revision}
    with serve(folders, {}, seen) as endpoint:
        given = {"HF_ENDPOINT": endpoint, "HF_HOME": str(tmp_path), "HF_TOKEN": CANARY}
        run = run_step(STEPS[FETCH], checkout, tmp_path, {"MODELS": "", **given})
    assert run.code == 2
    fetched = re.findall(r"^(\w+)\t", run.out, re.MULTILINE)
    assert fetched == default_keys()
    last = run.out.splitlines()[-1]
    assert last.startswith("llama3_1 (") and ": model-00001-of-00004.safetensors: 404 " in last
    assert {request.authorization for request in file_requests(seen)} == {f"Bearer {CANARY}"}
    assert CANARY not in run.out


@pytest.mark.slow  # it may build an environment
def test_comparing_step_is_red_if_something_differs(checkout: Path, tmp_path: Path) -> None:
    """Which version is the newest, and so what differs, is the day's."""
    run = run_step(STEPS[COMPARE], checkout, tmp_path, {"MODELS": "phi3"})
    is_newest = "the pinned version, is the newest" in run.out
    same = is_newest or (": no difference" in run.out and "saved by" not in run.out)
    assert run.code == int(not same), run.out[-3000:]
    if is_newest:
        return
    assert not (tmp_path / "summary.md").exists(), "a run within the step told GitHub of itself"
    title = r"what changed from (\S+) to (\S+)</h1>"
    versions = re.search(title, (checkout / "drift" / "drift.html").read_text("utf-8"))
    assert versions
    pinned, newest = map(Version, versions.groups())
    assert f"transformers=={pinned}\n" in (checkout / "requirements.txt").read_text()
    assert newest >= pinned

"""The workflows: without a hole that zizmor knows, and their steps do what they say, here."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.harness.models import registry

from .conftest import PROJECT, Run, copy_project
from .hub_attempts import CANARY, asked
from .hub_server import Seen, serve
from .workflow_steps import WORKFLOWS, run_step, steps, workflow

GITHUB = PROJECT / ".github"
NAMES = sorted(path.name for path in WORKFLOWS.iterdir())
STEPS = steps()
FETCH = "gpu.yml quantised: Fetch from the hub, the one step that has the token"
CHECKOUT = "actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1 # v7.0.1"


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
    "gpu.yml quantised: Install": INSTALL,
    FETCH: Expected(1),  # a test of its own, with a hub
    "gpu.yml quantised: Test": Expected(
        1,
        "gate: there is no CUDA device, and -m 'gpu' selects tests that need one",
        leaves=REPORT,
        given={"CUDA_VISIBLE_DEVICES": ""},
    ),
    "drift.yml newest: Install": INSTALL,
    "drift.yml newest: Compare the pinned version with the newest": Expected(
        says="no difference", leaves=("drift/drift.html", "drift/drift.json")
    ),
}


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory, bundle: dict[str, Path]) -> Path:
    """What a runner has checked out; the bundle is warm."""
    project = copy_project(tmp_path_factory.mktemp("workspace") / "suite")
    shutil.copy(PROJECT / "requirements.txt", project)
    shutil.copytree(GITHUB, project / ".github")
    return project


def test_every_step_is_expected_to_do_something() -> None:
    assert set(STEPS) == set(EXPECTED)


@pytest.mark.parametrize("name", [name for name in EXPECTED if name != FETCH])
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


def test_fetching_step_alone_has_the_token(
    checkout: Path, tmp_path: Path, bundle: dict[str, Path]
) -> None:
    """The hub on the loopback has all tokenizer files, but no weights, which are of 16 GB."""
    seen: list[Seen] = []
    folders = {it.hub_id: bundle[key] for key, it in registry().items() if it.revision}
    with serve(folders, {}, seen) as endpoint:
        given = {"HF_ENDPOINT": endpoint, "HF_HOME": str(tmp_path), "HF_TOKEN": CANARY}
        run = run_step(STEPS[FETCH], checkout, tmp_path, {"MODELS": "", **given})
    assert run.code == EXPECTED[FETCH].code
    fetched = re.findall(r"^(\w+)\t", run.out, re.MULTILINE)
    assert fetched == list(registry())
    last = run.out.splitlines()[-1]
    assert last.startswith("llama3_1 (") and "the hub has no model-00001-of-00004" in last
    assert {it.authorization for it in asked(seen)} == {f"Bearer {CANARY}"}
    assert CANARY not in run.out


def zizmor(folder: Path) -> Run:
    """What zizmor says of a folder `.github`, smells of code included; without the network."""
    places = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    program = shutil.which("zizmor", path=places)
    assert program, "zizmor is not installed: pip install -r tests/meta/requirements.txt"
    done = subprocess.run(
        [program, "--offline", "--persona", "pedantic", "--no-progress", str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return Run(done.returncode, done.stdout)


HOLES = {
    "unpinned_action": ("tests.yml", CHECKOUT, "actions/checkout@v7", "unpinned-uses"),
    "any_permission": ("tests.yml", "permissions: {}", "permissions: write-all", "excessive-perm"),
    "kept_credentials": ("gpu.yml", "persist-credentials: false", "fetch-depth: 1", "artipacked"),
    "text_in_a_script": ("drift.yml", '"$MODELS"', '"${{ inputs.models }}"', "template-injection"),
    "strangers_code": ("gpu.yml", "  push:", "  pull_request_target:\n  push:", "dangerous-trig"),
    "update_at_once": ("../dependabot.yml", "default-days: 7", "default-days: 0", "cooldown"),
}


def test_zizmor_finds_nothing() -> None:
    run = zizmor(GITHUB)
    assert run.code == 0, run.out
    run.line("No findings to report")


@pytest.mark.parametrize("name", HOLES)
def test_zizmor_finds_a_planted_hole(tmp_path: Path, name: str) -> None:
    file, old, new, rule = HOLES[name]
    copy = tmp_path / ".github"
    shutil.copytree(GITHUB, copy)
    path = copy / "workflows" / file
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")
    run = zizmor(copy)
    assert run.code != 0
    run.line(rule)


def test_versions_of_actions_are_the_same_everywhere() -> None:
    texts = [(WORKFLOWS / name).read_text(encoding="utf-8") for name in NAMES]
    used = set(re.findall(r"uses: (\S+@\S+ # v\S+)", "\n".join(texts)))
    assert CHECKOUT in used
    assert len(used) == len({it.partition("@")[0] for it in used})


def test_no_pull_request_reaches_the_gpu_or_the_token() -> None:
    assert set(workflow("gpu.yml")["on"]) == {"push", "schedule", "workflow_dispatch"}
    assert workflow("gpu.yml")["jobs"]["quantised"]["if"] == "github.ref == 'refs/heads/main'"
    assert workflow("gpu.yml")["jobs"]["quantised"]["environment"] == "hub"
    holders = [name for name, step in STEPS.items() if "secrets." in str(step.variables)]
    assert holders == [FETCH]
    texts = [(WORKFLOWS / name).read_text(encoding="utf-8") for name in NAMES]
    assert "".join(texts).count("secrets.") == 1
    assert [name for name in NAMES if "self-hosted" in texts[NAMES.index(name)]] == ["gpu.yml"]

"""The workflows: no hole that zizmor knows, and nothing of strangers near the GPU or the token."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.meta.conftest import Run
from tests.meta.support.workflow_steps import FETCH, GITHUB, STEPS, WORKFLOWS, workflow

NAMES = sorted(path.name for path in WORKFLOWS.iterdir())


CHECKOUT = "actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1 # v7.0.1"


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
    assert workflow("gpu.yml")["jobs"]["quantized"]["if"] == "github.ref == 'refs/heads/main'"
    assert workflow("gpu.yml")["jobs"]["quantized"]["environment"] == "hub"
    holders = [name for name, step in STEPS.items() if "secrets." in str(step.variables)]
    assert holders == [FETCH]
    texts = [(WORKFLOWS / name).read_text(encoding="utf-8") for name in NAMES]
    assert "".join(texts).count("secrets.") == 1
    assert [name for name in NAMES if "self-hosted" in texts[NAMES.index(name)]] == ["gpu.yml"]

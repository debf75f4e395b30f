"""The workflows: no hole that zizmor knows, and nothing of strangers near the GPU or the token."""

import re
import subprocess
import sys
from pathlib import Path

from tests.meta.support.workflow_steps import FETCH, GITHUB, STEPS, WORKFLOWS, workflow

NAMES = sorted(path.name for path in WORKFLOWS.iterdir())

CHECKOUT = "actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1 # v7.0.1"


def test_zizmor_finds_nothing() -> None:
    program = Path(sys.executable).parent / "zizmor"
    options = ("--offline", "--persona", "pedantic", "--no-progress")
    done = subprocess.run(
        [str(program), *options, str(GITHUB)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "No findings to report" in done.stdout + done.stderr


def test_versions_of_actions_are_the_same_everywhere() -> None:
    texts = [(WORKFLOWS / name).read_text(encoding="utf-8") for name in NAMES]
    used = set(re.findall(r"uses: (\S+@\S+ # v\S+)", "\n".join(texts)))
    assert CHECKOUT in used
    assert len(used) == len({action.partition("@")[0] for action in used})


def test_no_pull_request_reaches_the_gpu_or_the_token() -> None:
    assert set(workflow("gpu.yml")["on"]) == {"push", "schedule", "workflow_dispatch"}
    assert workflow("gpu.yml")["jobs"]["quantized"]["if"] == "github.ref == 'refs/heads/main'"
    assert workflow("gpu.yml")["jobs"]["quantized"]["environment"] == "hub"
    holders = [name for name, step in STEPS.items() if "secrets." in str(step.variables)]
    assert holders == [FETCH]
    texts = [(WORKFLOWS / name).read_text(encoding="utf-8") for name in NAMES]
    assert "".join(texts).count("secrets.") == 1
    assert [name for name in NAMES if "self-hosted" in texts[NAMES.index(name)]] == ["gpu.yml"]

"""The `run` steps of the workflows, as GitHub runs them."""

import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.meta.conftest import PROJECT, Run

GITHUB = PROJECT / ".github"

WORKFLOWS = GITHUB / "workflows"

# What GitHub sets anew for a step, and what this run set for itself.
OURS = ("CI", "GITHUB_", "PYTEST_", "HF_", "MODEL_CONFORMANCE_HF_")


@dataclass(frozen=True)
class Step:
    """A script, and the variables that the workflow, the job and the step declare."""

    script: str
    shell: str
    variables: dict[str, str] = field(default_factory=dict)


def workflow(name: str) -> dict[str, Any]:
    """A workflow as data; YAML reads its key `on` as the truth value."""
    content = yaml.safe_load((WORKFLOWS / name).read_text(encoding="utf-8"))
    return {"on" if key is True else key: value for key, value in content.items()}


def steps() -> dict[str, Step]:
    """All steps that run a script, by `tests.yml suite: Install`."""
    steps_by_name = {}
    for path in sorted(WORKFLOWS.iterdir()):
        content = workflow(path.name)
        for key, job in content["jobs"].items():
            for step in job["steps"]:
                if "run" in step:
                    declared = [part.get("env", {}) for part in (content, job, step)]
                    steps_by_name[f"{path.name} {key}: {step['name']}"] = Step(
                        step["run"],
                        step.get("shell", content["defaults"]["run"]["shell"]),
                        {name: value for part in declared for name, value in part.items()},
                    )
    return steps_by_name


STEPS = steps()

FETCH = "gpu.yml quantized: Fetch from the hub, the one step that has the token"

COMPARE = "drift.yml newest: Compare the pinned version with the newest"


def run_step(step: Step, project: Path, files: Path, given: dict[str, str]) -> Run:
    """Run a script in a checkout; `given` holds what GitHub evaluates and what narrows the run."""
    assert step.shell == "bash", "GitHub runs only this one with -eo pipefail"
    script = files / "step.sh"
    script.write_text(step.script, encoding="utf-8")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    set_by_github = {
        "CI": "true",
        "GITHUB_ACTIONS": "true",
        "GITHUB_STEP_SUMMARY": str(files / "summary.md"),
        "GITHUB_WORKSPACE": str(project),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    done = subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(script)],
        cwd=project,
        env=inherited | set_by_github | step.variables | given,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return Run(done.returncode, done.stdout)

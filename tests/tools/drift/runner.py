"""Observations of a version, made in its environment or taken from the cache."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.harness.files import FIXTURES, cache_folder, sha256
from tests.harness.redaction import is_secret

from .environments import Environment
from .record import Observed

ROOT = FIXTURES.parent
# What an observation may depend on, as whole folders: a list of files goes stale unnoticed.
OBSERVED = (
    *("fixtures", "tests/harness", "tests/tools/drift"),
    *("tests/__init__.py", "tests/tools/__init__.py"),
)
# How a process ends that the user stopped: by the signal itself, or a shell's code for it.
INTERRUPTED = (-signal.SIGINT, -signal.SIGTERM, 128 + signal.SIGINT)
OURS = ("CI", "GITHUB_", "PYTEST_", "HF_", "TRANSFORMERS_", "MODEL_CONFORMANCE_HF_")


@dataclass(frozen=True)
class Subject:
    """What is looked at: the folders by model key, through `auto` or `raw` tokenizers."""

    folders: dict[str, Path]
    mode: str
    repeat: int = 0  # of a version that is named twice, each is observed for itself


def digest_of(sources: Iterable[str]) -> str:
    """One digest over the project's files of these names and in these folders, by content."""
    roots = [ROOT / name for name in sources]
    paths = [path for root in roots for path in (root.rglob("*") if root.is_dir() else [root])]
    files = sorted(path for path in paths if path.is_file() and "__pycache__" not in path.parts)
    lines = [f"{path.relative_to(ROOT)} {sha256(path)}" for path in files]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def files_of(folder: Path) -> dict[str, str]:
    """sha256 of every file in a model's folder."""
    return {path.name: sha256(path) for path in sorted(folder.iterdir()) if path.is_file()}


def results_folder(environment: Environment, subject: Subject) -> Path:
    """Where a version's results are kept; all that they depend on is in its name."""
    key = {
        "packages": environment.packages,
        "python": sys.version,
        "files": {model: files_of(folder) for model, folder in subject.folders.items()},
        "code": digest_of(OBSERVED),
        "subject": [subject.mode, subject.repeat],
    }
    name = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:16]
    return cache_folder() / "drift" / name


def apart(
    environment: Environment, *arguments: str, text: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run a module of ours in an environment: offline, with nothing of this process's options."""
    foreign = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    kept = {name: value for name, value in foreign.items() if not is_secret(name, value)}
    switches = {
        "HF_HUB_OFFLINE": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }
    return subprocess.run(
        [str(environment.python), "-m", *arguments],
        input=text,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        cwd=ROOT,
        env=kept | switches,
    )


def observe(environment: Environment, tasks: list[dict[str, Any]]) -> dict[str, Observed]:
    """Observations by task name; a process that dies costs the task it was at, and no other.

    A library gives some warnings once a process: a task that keeps them has one of its own.
    """
    while waiting := [task for task in tasks if not Path(task["out"]).is_file()]:
        batch = waiting[:1] if waiting[0]["save"] else waiting
        run = apart(environment, "tests.tools.drift.observe", text=json.dumps(batch))
        if run.returncode in INTERRUPTED:
            raise KeyboardInterrupt
        if not (out := Path(batch[0]["out"])).is_file():
            out.write_text(json.dumps({"load": {"load": {"": {"error": _death(run)}}}}))
    return {task["name"]: json.loads(Path(task["out"]).read_text()) for task in tasks}


def _death(run: subprocess.CompletedProcess[str]) -> str:
    lines = [line for line in run.stderr.strip().splitlines() if line.strip()]
    how = f"signal {-run.returncode}" if run.returncode < 0 else f"exit {run.returncode}"
    return f"the process died ({how}): {lines[-1][:300] if lines else 'no output'}"


def observe_all(environment: Environment, subject: Subject, results: Path) -> dict[str, Observed]:
    """Everything about every model, which also is saved under `results/saved/KEY`."""
    tasks = []
    for key, folder in subject.folders.items():
        save, out = results / "saved" / key, results / f"{key}.json"
        if not out.is_file():  # what a killed process left is not to be taken for files saved
            shutil.rmtree(save, ignore_errors=True)
            save.mkdir(parents=True)
        tasks.append(task(key, folder, out, subject.mode, save))
    return observe(environment, tasks)


def task(key: str, folder: Path, out: Path, mode: str, save: Path | None) -> dict[str, Any]:
    """One request to `observe.py`; without `save` only ids are wanted."""
    fields = {"name": key, "key": key, "folder": str(folder), "out": str(out), "subject": mode}
    return fields | {"save": str(save) if save else None}

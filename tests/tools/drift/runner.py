"""What a version does, observed and tested in its environment, or taken from the cache."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from tests.harness.environments import Environment
from tests.harness.files import PROJECT, cache_folder, sha256_text, write_atomically
from tests.harness.redaction import is_secret
from tests.harness.sources.identity import digest_of, files_of

from .record import Observed

# What an observation may depend on, as whole folders: a list of files goes stale unnoticed.
OBSERVED = (
    *("fixtures", "tests/harness", "tests/tools/drift"),
    *("tests/__init__.py", "tests/tools/__init__.py"),
)
TESTED = (*OBSERVED, "conftest.py", "pytest.ini", "tests/conformance")  # and an outcome
# How a process ends that the user stopped: by the signal itself, or a shell's code for it.
INTERRUPTED = (-signal.SIGINT, -signal.SIGTERM, 128 + signal.SIGINT)
OURS = ("CI", "GITHUB_", "PYTEST_", "HF_", "TRANSFORMERS_", "MODEL_CONFORMANCE_HF_")
SWITCHES = {
    "HF_HUB_OFFLINE": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "OMP_NUM_THREADS": "1",  # versions run side by side, and more threads than cores only wait
}


@dataclass(frozen=True)
class Subject:
    """The folders looked at by model key, and how: one of `MODES`, or `engine`."""

    folders: dict[str, Path]
    mode: str
    repeat: int = 0  # of a version that is named twice, each is observed for itself
    weights: dict[str, Path] = field(default_factory=dict)  # of models that are loaded, too
    engine: str = ""  # whose package is looked at, in mode `engine`


@dataclass(frozen=True)
class Outcomes:
    """Of the conformance tests: node `test_x[model-case]` to its first line."""

    passed: int = 0
    known: dict[str, str] = field(default_factory=dict)
    red: dict[str, str] = field(default_factory=dict)
    problem: str | None = None  # why the run has no outcomes

    def bad(self) -> set[str]:
        """Nodes that fail, declared or not."""
        return {*self.known, *self.red}


@dataclass(frozen=True)
class Seen:
    """A version and all that was seen of it; `problem` says why there is nothing."""

    label: str
    version: str
    subject: Subject
    problem: str = ""
    environment: Environment | None = None
    results: Path = Path()
    observed: dict[str, Observed] = field(default_factory=dict)
    outcomes: Outcomes = field(default_factory=Outcomes)

    @property
    def packages(self) -> dict[str, str]:
        """What is installed there; nothing for a version with a problem."""
        return self.environment.packages if self.environment else {}

    @property
    def installed(self) -> Environment:
        """The environment of a version without a problem."""
        assert self.environment is not None, self.label
        return self.environment


def _state_of_libraries() -> str:
    """One digest of the libraries installed here: their files may be edited in place."""
    folders = [
        Path(place)
        for name in ("transformers", "tokenizers")
        if (spec := find_spec(name))
        for place in spec.submodule_search_locations or ()
    ]
    rows = [
        f"{path} {found.st_size} {found.st_mtime_ns}"
        for folder in folders
        for path in sorted(folder.rglob("*.py"))
        if (found := path.stat())
    ]
    return sha256_text("\n".join(rows))


def results_folder(environment: Environment, subject: Subject) -> Path:
    """Where a version's results are kept; all that they depend on is in its name."""
    key = {
        "packages": environment.packages,
        "lent": environment.lent,
        "python": sys.version,
        "files": {model: files_of(folder) for model, folder in subject.folders.items()},
        "weights": {model: folder.name for model, folder in subject.weights.items()},
        "code": digest_of(OBSERVED),
        "subject": [subject.mode, subject.repeat],
        "libraries": _state_of_libraries() if environment.python == Path(sys.executable) else "",
    }
    name = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:16]
    return cache_folder() / "drift" / name


def command_in(
    environment: Environment, *arguments: str, lent: bool = False
) -> tuple[list[str], dict[str, str]]:
    """How a module of ours is run there: offline, with nothing of this process's options.

    The command and its variables. `lent` is whether it sees what the environment was lent, such as
    torch, which slows its start.
    """
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(OURS) and not is_secret(name, value)
    }
    paths = {"PYTHONPATH": str(environment.lent_folder)} if lent and environment.lent else {}
    python = environment.python if environment.observes else sys.executable
    return [str(python), "-m", *arguments], kept | SWITCHES | paths


def run_in(
    environment: Environment, *arguments: str, text: str = "", lent: bool = False
) -> subprocess.CompletedProcess[str]:
    """Run a module of ours in an environment, see `command_in`."""
    command, variables = command_in(environment, *arguments, lent=lent)
    return subprocess.run(
        command,
        input=text,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        cwd=PROJECT,
        env=variables,
    )


def task(key: str, folder: Path, out: Path, subject: Subject, save: Path | None) -> dict[str, Any]:
    """One request to `observe.py`; without `save` only ids are wanted."""
    fields = {"key": key, "folder": str(folder), "out": str(out), "subject": subject.mode}
    return fields | {"save": str(save) if save else None, "engine": subject.engine}


def observe(environment: Environment, tasks: list[dict[str, Any]]) -> dict[str, Observed]:
    """Observations by key; a process that dies costs the task it was at, and no other.

    A library gives some warnings once a process: a task that keeps them has one of its own.
    """
    while waiting := [task for task in tasks if not Path(task["out"]).is_file()]:
        batch = waiting[:1] if waiting[0]["save"] else waiting
        for each in batch:
            each["home"] = str(environment.python.parents[1])
        lent = batch[0]["subject"] == "model"
        run = run_in(environment, "tests.tools.drift.observe", text=json.dumps(batch), lent=lent)
        if run.returncode in INTERRUPTED:
            raise KeyboardInterrupt
        if not (out := Path(batch[0]["out"])).is_file():
            write_atomically(out, json.dumps({"load": {"load": {"": {"error": _death(run)}}}}))
    return {task["key"]: json.loads(Path(task["out"]).read_text()) for task in tasks}


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
        tasks.append(task(key, folder, out, subject, save))
    observed = observe(environment, tasks)
    for key, weights in subject.weights.items():
        model = replace(subject, mode="model")
        one = task(key, subject.folders[key], results / f"{key}-model.json", model, None)
        (seen,) = observe(environment, [one | {"weights": str(weights)}]).values()
        _add(observed[key], seen)
    return observed


def _add(observed: Observed, seen: Observed) -> None:
    """Add what the process that loads a model has seen; that it died is an error of the load."""
    died = seen.pop("load", {}).get("load")
    seen |= {"load keys": {"from_pretrained": died}} if died else {}
    for kind, calls in seen.items():
        for call, cases in calls.items():
            observed.setdefault(kind, {}).setdefault(call, {}).update(cases)


def conformance(environment: Environment, subject: Subject, results: Path) -> Outcomes:
    """The outcomes of tests/conformance on the same folders."""
    report = results / f"conformance-{digest_of(TESTED)[:16]}.xml"
    if not report.is_file():
        scratch = report.with_name(f".{report.name}")
        folders = [f"--model-dir={key}={folder}" for key, folder in subject.folders.items()]
        chosen = ["--models", ",".join(subject.folders), *folders]
        quiet = ["-q", "-p", "no:cacheprovider", "-p", "no:randomly", f"--junitxml={scratch}"]
        run = run_in(environment, "pytest", "tests/conformance", *quiet, *chosen, lent=True)
        if run.returncode not in (0, 1) or not scratch.is_file():
            lines = (run.stderr.strip() or run.stdout.strip() or "no output").splitlines()
            return Outcomes(problem=f"pytest stopped (exit {run.returncode}): {lines[-1][:300]}")
        scratch.replace(report)
    return read_outcomes(report)


def read_outcomes(report: Path) -> Outcomes:
    """The outcomes a JUnit file holds."""
    passed, known, red = 0, {}, {}
    for case in ElementTree.parse(report).iter("testcase"):
        name, first = case.get("name", ""), next(iter(case), None)
        message = (first.get("message") or "" if first is not None else "").split("\n")[0]
        if first is None or first.tag not in ("failure", "error", "skipped"):
            passed += 1
        elif first.get("type") == "pytest.xfail":
            known[name] = message
        else:
            red[name] = message
    return Outcomes(passed, known, red)

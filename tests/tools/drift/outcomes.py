"""The outcomes of tests/conformance under a version: from its environment, or the cache."""

from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

from .environments import Environment
from .runner import OBSERVED, Subject, apart, digest_of

# What an outcome may depend on.
TESTED = (*OBSERVED, "conftest.py", "pytest.ini", "tests/conformance")


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


def conformance(environment: Environment, subject: Subject, results: Path) -> Outcomes:
    """The outcomes of tests/conformance on the same folders."""
    report = results / f"conformance-{digest_of(TESTED)[:16]}.xml"
    if not report.is_file():
        scratch = report.with_name(f".{report.name}")
        folders = [f"--model-dir={key}={folder}" for key, folder in subject.folders.items()]
        narrow = ["--models", ",".join(subject.folders)]
        quiet = ["-q", "-p", "no:cacheprovider", "-p", "no:randomly", f"--junitxml={scratch}"]
        run = apart(environment, "pytest", "tests/conformance", *quiet, *narrow, *folders)
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

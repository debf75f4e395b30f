"""The contracts of a drafted model, run by pytest in a copy of the project."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.harness.data.upstream_issues import patterns, upstream_issues
from tests.harness.errors import AssetError
from tests.harness.files import PROJECT
from tests.harness.versions import versions

_CONFORMANCE = "tests/conformance"
_PARTS = ("conftest.py", "pytest.ini", "fixtures", "tests/__init__.py", "tests/harness")
# No fault of a library excuses these, unless the model's base has the same one.
_NEVER = (
    *("test_ids_", "test_bos_", "test_prompt_has_one_bos", "test_files_agree", "test_special_id_"),
    *("test_new_tokens_", "test_template_stands_", "test_tokenized_chat_equals_"),
    "test_special_tokens_",
)

_PIPELINE = "test_loaded_pipeline_matches_tokenizer_json"


@dataclass(frozen=True)
class Failed:
    """A contract that failed: its test as known failures name it, and its message."""

    node: str
    first_line: str
    cause: str

    @property
    def test(self) -> str:
        """The test's name without what it ran on."""
        return self.node.partition("[")[0]


@dataclass(frozen=True)
class Outcome:
    """A run: how many checks passed or are known, and what failed."""

    passed: int
    known: int
    failed: list[Failed]


@contextmanager
def project_copy() -> Iterator[Path]:
    """A copy of what the contracts need, to which a draft can be added."""
    with TemporaryDirectory(prefix="new-model-") as scratch:
        copy = Path(scratch) / "project"
        ignored = shutil.ignore_patterns("__pycache__")
        for part in (*_PARTS, _CONFORMANCE):
            source, target = PROJECT / part, copy / part
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target, ignore=ignored)
            else:
                shutil.copy(source, target)
        yield copy


def run_contracts(project: Path, key: str, folder: Path, only: set[str] | None = None) -> Outcome:
    """Run them, or those files of them; AssetError if pytest cannot."""
    report = project / "report"
    shutil.rmtree(report, ignore_errors=True)
    places = sorted(only) if only else [_CONFORMANCE]
    command = [sys.executable, "-m", "pytest", *places, "-q", "-p", "no:cacheprovider"]
    command += ["--models", key, "--model-dir", f"{key}={folder}", f"--report-dir={report}"]
    hidden = ("PYTEST_", "GITHUB_", "CI")
    environment = {name: v for name, v in os.environ.items() if not name.startswith(hidden)}
    done = subprocess.run(
        command, cwd=project, env=environment, capture_output=True, text=True, check=False
    )
    try:
        content = json.loads((report / "report.json").read_bytes())
    except (OSError, ValueError):
        said = (done.stdout + done.stderr).strip().splitlines() or ["nothing"]
        raise AssetError(f"{key}: the contracts cannot run: {said[-1]}") from None
    failed = [
        Failed(each["node"].partition("::")[2], each["first_line"], each["cause"])
        for each in content["failures"]
    ]
    counts = content["counts"]
    return Outcome(counts.get("passed", 0), counts.get("known", 0), failed)


def files_of(outcome: Outcome, project: Path) -> set[str]:
    """The files of the tests that failed, which are what to run again."""
    names = {each.test for each in outcome.failed}
    paths = (project / _CONFORMANCE).glob("test_*.py")
    return {
        str(path.relative_to(project))
        for path in paths
        if any(f"def {name}(" in path.read_text("utf-8") for name in names)
    }


def known_faults(key: str, bases: tuple[str, ...], failed: list[Failed]) -> list[dict[str, Any]]:
    """Failures that a known fault of a library explains, as `faults` of the model's exceptions.

    By an issue that breaks the same test and case of other models; or, where the ids of all texts
    are the file's, because a class builds its own pipeline.
    """
    faults: dict[str, dict[str, Any]] = {}
    for each in failed:
        if issue := _issue(key, bases, each.node):
            faults.setdefault(issue, {"issue": issue, "nodes": []})["nodes"].append(each.node)
    rest = [each for each in failed if not _issue(key, bases, each.node)]
    own = [each for each in rest if each.test == _PIPELINE]
    if own and not any(each.test.startswith(_NEVER) for each in rest):
        faults["own"] = {
            "reason": f"{own[0].cause.partition(' builds')[0]} builds its own pipeline; "
            "the ids of all texts are the file's",
            "package": "transformers",
            "versions": f">={versions()['transformers']}",
            "link": "https://github.com/huggingface/transformers/issues/45812",
            "nodes": [each.node for each in own],
        }
    return list(faults.values())


def _issue(key: str, bases: tuple[str, ...], node: str) -> str:
    """The issue that breaks this test of a base, or, if it may be excused, of any model."""
    for pattern in patterns([each for each in upstream_issues() if each.applies_here()]):
        named = pattern.node.partition("[")[2].partition("-")[0].removesuffix("]")
        same = bool(pattern.regex.fullmatch(node.replace(f"[{key}", f"[{named}", 1)))
        # What a flag of special tokens does to BOS, it does to whatever stands around a text.
        flags = node.endswith("_token]") and pattern.node.endswith("_token]")
        same = same or (flags and node.partition("[")[0] == pattern.node.partition("[")[0])
        if same and (named in bases or not node.startswith((*_NEVER, _PIPELINE))):
            return pattern.issue.id
    return ""


def grouped(failed: list[Failed]) -> list[str]:
    """One line for each test and cause, with its number and its first example."""
    groups: dict[tuple[str, str], list[Failed]] = {}
    for each in failed:
        groups.setdefault((each.test, each.cause), []).append(each)
    lines = []
    for rows in groups.values():
        more = f" ({len(rows)} checks, all of this kind)" if len(rows) > 1 else ""
        lines.append(f"{rows[0].first_line}{more}")
    return lines

"""The report as data: `drift.json`.

Format 2: `package`; `models` (key: file: sha256); `versions`, each with what is
installed, the outcomes of tests/conformance, its red tests and those of them that no difference
explains; `steps`, each with its causes (kind, calls, why, verdict, first difference, upstream
issue, every model and case, values of the first three) and with what became of saved files.
"""

import json
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.harness.data.upstream_issues import UpstreamIssue
from tests.harness.secrets import scrub

from .causes import Cause
from .compare import Compared, Seen, packages
from .differences import KINDS, Rows, begins
from .page import example
from .runner import files_of

FORMAT = 2
EXAMPLES = 3  # of a cause, differences that are reported with their values


def _cause_data(cause: Cause, compared: Compared, rows: Rows) -> dict[str, Any]:
    """A cause with its first examples, one a model before a second of the same."""
    seen: Counter[str] = Counter()
    ranked = []
    for it in cause.differences:
        ranked.append((seen[it.model], it))
        seen[it.model] += 1
    best = [it for _, it in sorted(ranked, key=lambda pair: pair[0])][:EXAMPLES]
    return {
        **{
            name: getattr(cause, name)
            for name in ("kind", "calls", "why", "verdict", "models", "cases")
        },
        "differences": len(cause.differences),
        "first": f"{cause.differences[0].where}: {begins(cause.differences[0], rows)}",
        "issue": _issue_data(cause.issue),
        "places": [[it.model, it.case] for it in cause.differences],
        "examples": [example(it, compared, rows) for it in best],
    }


def _issue_data(issue: UpstreamIssue | None) -> dict[str, str] | None:
    names = ("id", "package", "versions", "reason", "link")
    return {name: getattr(issue, name) for name in names} if issue else None


def _exchange_data(compared: Compared) -> list[dict[str, Any]]:
    rows = []
    for row in compared.exchanges:
        issue = row.issue(packages(compared.older, compared.newer))
        rows.append({**asdict(row), "issue": _issue_data(issue)})
    return rows


def _counts(compared: Compared) -> dict[str, dict[str, int]]:
    """By kind: differences, cases (of the whole model: values) and models."""
    counts = {}
    for kind in KINDS:
        if members := [it for it in compared.differences if it.kind == kind]:
            cases = {(it.model, it.case or it.call) for it in members}
            models = {it.model for it in members}
            sizes = {"differences": len(members), "cases": len(cases), "models": len(models)}
            counts[kind] = sizes
    return counts


def _version_data(seen: Seen, steps: list[Compared]) -> dict[str, Any]:
    """A version: what is installed there, the outcomes of the tests, the red ones left over."""
    near = [it for step in steps if seen in (step.older, step.newer) for it in step.differences]
    places = {f"[{it.model}-{it.case}" for it in near}
    red = seen.outcomes.red
    return {
        "label": seen.label,
        "version": seen.version,
        "problem": seen.problem,
        "packages": seen.environment.packages if seen.environment else {},
        "tests_problem": seen.outcomes.problem,
        "passed": seen.outcomes.passed,
        "known": len(seen.outcomes.known),
        "red": red,
        "unexplained": [node for node in red if not any(place in node for place in places)],
    }


def report(
    package: str, versions: list[Seen], steps: list[Compared], folders: dict[str, Path], rows: Rows
) -> dict[str, Any]:
    """Everything, as JSON holds it."""
    return {
        "format": FORMAT,
        "package": package,
        "models": {key: files_of(folder) for key, folder in folders.items()},
        "versions": [_version_data(it, steps) for it in versions],
        "steps": [
            {
                "older": it.older.label,
                "newer": it.newer.label,
                "counts": _counts(it),
                "causes": [_cause_data(cause, it, rows) for cause in it.causes],
                "saved_files": _exchange_data(it),
            }
            for it in steps
        ],
    }


def write(data: dict[str, Any], path: Path) -> None:
    """Write the data; ASCII, so that no character can mislead."""
    path.write_text(scrub(json.dumps(data, indent=1)) + "\n", encoding="ascii")

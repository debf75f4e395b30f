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
from tests.harness.redaction import redact

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
    for difference in cause.differences:
        ranked.append((seen[difference.model], difference))
        seen[difference.model] += 1
    best = [difference for _, difference in sorted(ranked, key=lambda pair: pair[0])][:EXAMPLES]
    return {
        **{
            name: getattr(cause, name)
            for name in ("kind", "calls", "why", "verdict", "models", "cases")
        },
        "differences": len(cause.differences),
        "first": f"{cause.differences[0].where}: {begins(cause.differences[0], rows)}",
        "issue": _issue_data(cause.issue),
        "places": [[difference.model, difference.case] for difference in cause.differences],
        "examples": [example(difference, compared, rows) for difference in best],
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
        if members := [
            difference for difference in compared.differences if difference.kind == kind
        ]:
            cases = {
                (difference.model, difference.case or difference.call) for difference in members
            }
            models = {difference.model for difference in members}
            sizes = {"differences": len(members), "cases": len(cases), "models": len(models)}
            counts[kind] = sizes
    return counts


def _version_data(seen: Seen, steps: list[Compared]) -> dict[str, Any]:
    """A version: what is installed there, the outcomes of the tests, the red ones left over."""
    near = [
        difference
        for step in steps
        if seen in (step.older, step.newer)
        for difference in step.differences
    ]
    places = {f"[{difference.model}-{difference.case}" for difference in near}
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
        "versions": [_version_data(seen, steps) for seen in versions],
        "steps": [
            {
                "older": step.older.label,
                "newer": step.newer.label,
                "counts": _counts(step),
                "causes": [_cause_data(cause, step, rows) for cause in step.causes],
                "saved_files": _exchange_data(step),
            }
            for step in steps
        ],
    }


def write(data: dict[str, Any], path: Path) -> None:
    """Write the data; ASCII, so that no character can mislead."""
    path.write_text(redact(json.dumps(data, indent=1)) + "\n", encoding="ascii")

"""The report: as data (`drift.json`), as lines for the terminal, as one bit for the exit status.

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

from .causes import MOVERS, Cause
from .compare import Compared, Seen
from .differences import KINDS, Difference, Rows, begins
from .page import example
from .runner import files_of

FORMAT = 2
EXAMPLES = 3  # of a cause, differences that are reported with their values


def _examples(cause: Cause) -> list[Difference]:
    """A cause's first differences, one a model before a second of the same."""
    seen: Counter[str] = Counter()
    ranks = []
    for difference in cause.differences:
        ranks.append(seen[difference.model])
        seen[difference.model] += 1
    order = sorted(range(len(ranks)), key=ranks.__getitem__)
    return [cause.differences[i] for i in order[:EXAMPLES]]


def _cause_data(cause: Cause, compared: Compared, rows: Rows) -> dict[str, Any]:
    first = cause.differences[0]
    fields = ("kind", "calls", "why", "verdict", "models", "cases")
    return {
        **{name: getattr(cause, name) for name in fields},
        "differences": len(cause.differences),
        "first": f"{first.where}: {begins(first, rows)}",
        "issue": _issue_data(cause.issue),
        "places": [[difference.model, difference.case] for difference in cause.differences],
        "examples": [example(difference, compared, rows) for difference in _examples(cause)],
    }


def _issue_data(issue: UpstreamIssue | None) -> dict[str, str] | None:
    names = ("id", "package", "versions", "reason", "link")
    return {name: getattr(issue, name) for name in names} if issue else None


def _counts(compared: Compared) -> dict[str, dict[str, int]]:
    """By kind: differences, cases (of the whole model: values) and models."""
    counts = {}
    for kind in KINDS:
        members = [one for one in compared.differences if one.kind == kind]
        if members:
            cases = {(one.model, one.case or one.call) for one in members}
            models = {one.model for one in members}
            sizes = {"differences": len(members), "cases": len(cases), "models": len(models)}
            counts[kind] = sizes
    return counts


def _step_data(step: Compared, rows: Rows) -> dict[str, Any]:
    return {
        "older": step.older.label,
        "newer": step.newer.label,
        "counts": _counts(step),
        "causes": [_cause_data(cause, step, rows) for cause in step.causes],
        "saved_files": [
            {**asdict(row), "issue": _issue_data(row.issue(step.packages))}
            for row in step.exchanges
        ],
    }


def _version_data(seen: Seen, steps: list[Compared]) -> dict[str, Any]:
    near = [step for step in steps if seen in (step.older, step.newer)]
    places = {f"[{one.model}-{one.case}" for step in near for one in step.differences}
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
        "steps": [_step_data(step, rows) for step in steps],
    }


def write(data: dict[str, Any], path: Path) -> None:
    """Write the data; ASCII, so that no character can mislead."""
    path.write_text(redact(json.dumps(data, indent=1)) + "\n", encoding="ascii")


def differs(data: dict[str, Any]) -> bool:
    """Whether anything differs, or a version could not be had."""
    rows = [row for step in data["steps"] for row in step["saved_files"]]
    moved = any(step["causes"] for step in data["steps"]) or not all(row["same"] for row in rows)
    return moved or any(version["problem"] for version in data["versions"])


def summary(data: dict[str, Any]) -> list[str]:
    """Lines for the terminal: a version a line, then the causes of every step."""
    lines = []
    for version in data["versions"]:
        tests = f"{version['passed']} passed, {version['known']} known, {len(version['red'])} red"
        line = version["problem"] or version["tests_problem"] or tests
        if version["unexplained"]:
            line += f", {len(version['unexplained'])} unexplained"
        lines.append(f"{data['package']} {version['label']}: {line}")
    for step in data["steps"]:
        lines += ["", f"{step['older']} -> {step['newer']}: {_headline(step)}"]
        for cause in step["causes"]:
            size = f"{cause['differences']} in {', '.join(cause['models'])}"
            what = f"{cause['verdict']} {cause['kind']}, {', '.join(cause['calls'])}"
            lines += [f"  {what} ({size})", f"    {cause['first']}"]
            lines += [f"    {cause['why']}"] * (cause["kind"] in MOVERS)
            lines += _issue_lines(cause["issue"])
        for row in step["saved_files"]:
            if not row["same"]:
                who = f"saved by {row['saver']}, read by {row['loader']}"
                lines.append(f"  {who}, {row['model']}: {row['result']}")
                lines += _issue_lines(row["issue"])
    return lines


def _issue_lines(issue: dict[str, Any] | None) -> list[str]:
    if issue is None:
        return []
    versions = f"{issue['package']} {issue['versions']}"
    return [f"    known: {issue['reason']} ({versions}): {issue['link']}"]


def _headline(step: dict[str, Any]) -> str:
    breaks = sum(cause["verdict"] == "breaks" for cause in step["causes"])
    sizes = [f"{kind} {size['cases']}" for kind, size in step["counts"].items()]
    words = ", ".join(sizes) or "no difference"
    return f"{words}; {breaks} causes break a contract" if breaks else words

"""The report as data (`drift.json`) and as lines for the terminal.

`drift.json`, format 1: `package`; `models` (key: file: sha256); `versions`, each with what is
installed, the outcomes of tests/conformance, its red tests and those of them that no difference
explains; `steps`, each with its causes (kind, call, why, verdict, first difference, upstream issue,
every model and case, values of the first three) and with what became of saved files.
"""

import json
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

from .causes import Cause
from .differences import KINDS, Rows, begins
from .examples import example
from .observations import files_of
from .steps import Compared, Seen

FORMAT = 1
EXAMPLES = 3  # of a cause, differences that are reported with their values


def cause_data(cause: Cause, compared: Compared, rows: Rows) -> dict[str, Any]:
    """A cause with its first examples, one a model before a second of the same."""
    seen: Counter[str] = Counter()
    ranked = []
    for it in cause.differences:
        ranked.append((seen[it.model], it))
        seen[it.model] += 1
    best = [it for _, it in sorted(ranked, key=lambda pair: pair[0])][:EXAMPLES]
    return {
        **{name: getattr(cause, name) for name in ("kind", "call", "why", "verdict", "models")},
        "differences": len(cause.differences),
        "cases": cause.cases,
        "first": f"{cause.differences[0].place}: {begins(cause.differences[0], rows)}",
        "issue": asdict(cause.issue) if cause.issue else None,
        "places": [[it.model, it.case] for it in cause.differences],
        "examples": [example(it, compared, rows) for it in best],
    }


def counts(compared: Compared) -> dict[str, dict[str, int]]:
    """By kind: differences, cases and models."""
    found = {}
    for kind in KINDS:
        if members := [it for it in compared.differences if it.kind == kind]:
            cases = {(it.model, it.case) for it in members}
            models = {it.model for it in members}
            sizes = {"differences": len(members), "cases": len(cases), "models": len(models)}
            found[kind] = sizes
    return found


def version_data(seen: Seen, steps: list[Compared]) -> dict[str, Any]:
    """A version: what is installed there, what the tests said, what stays unexplained."""
    near = [it for step in steps if seen in (step.older, step.newer) for it in step.differences]
    places = {f"[{it.model}-{it.case}" for it in near}
    red = seen.outcomes.red
    return {
        "label": seen.label,
        "version": seen.version,
        "problem": seen.problem,
        "packages": seen.place.packages if seen.place else {},
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
        "versions": [version_data(it, steps) for it in versions],
        "steps": [
            {
                "older": it.older.label,
                "newer": it.newer.label,
                "counts": counts(it),
                "causes": [cause_data(cause, it, rows) for cause in it.causes],
                "saved_files": [asdict(row) for row in it.exchanges],
            }
            for it in steps
        ],
    }


def differs(data: dict[str, Any]) -> bool:
    """Whether there is anything to tell."""
    moved = any(it["causes"] or not all_same(it) for it in data["steps"])
    return moved or any(it["problem"] for it in data["versions"])


def all_same(step: dict[str, Any]) -> bool:
    """Whether all saved files are read with the same ids."""
    return all(it["same"] for it in step["saved_files"])


def summary(data: dict[str, Any]) -> list[str]:
    """Lines for the terminal: a version a line, then the causes of every step."""
    lines = []
    for it in data["versions"]:
        tests = f"{it['passed']} passed, {it['known']} known, {len(it['red'])} red"
        lines.append(
            f"{data['package']} {it['label']}: {it['problem'] or it['tests_problem'] or tests}"
            + (f", {len(it['unexplained'])} unexplained" if it["unexplained"] else "")
        )
    for step in data["steps"]:
        lines += ["", f"{step['older']} -> {step['newer']}: {headline(step)}"]
        for cause in step["causes"]:
            size = f"{cause['differences']} in {', '.join(cause['models'])}"
            lines.append(f"  {cause['verdict']} {cause['kind']}, {cause['call']} ({size})")
            lines.append(f"    {cause['first']}")
            lines.append(f"    {cause['why']}")
            if cause["issue"]:
                lines.append(f"    {cause['issue']['explanation']}: {cause['issue']['link']}")
        for row in step["saved_files"]:
            if not row["same"]:
                who = f"saved by {row['saver']}, read by {row['loader']}"
                lines.append(f"  {who}, {row['model']}: {row['result']}")
    return lines


def headline(step: dict[str, Any]) -> str:
    """The step in a few words."""
    breaks = sum(it["verdict"] == "breaks" for it in step["causes"])
    sizes = [f"{kind} {it['differences']}" for kind, it in step["counts"].items()]
    words = ", ".join(sizes) or "no difference"
    return f"{words}; {breaks} causes break a contract" if breaks else words


def write(data: dict[str, Any], path: Path) -> None:
    """Write the data; ASCII, so that no character can mislead."""
    path.write_text(json.dumps(data, indent=1) + "\n", encoding="ascii")

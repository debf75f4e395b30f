"""The report as lines for the terminal, and its one bit for the exit code."""

from typing import Any

from .causes import MOVERS


def differs(data: dict[str, Any]) -> bool:
    """Whether anything differs, or a version could not be had."""
    moved = any(step["causes"] or not _all_same(step) for step in data["steps"])
    return moved or any(version["problem"] for version in data["versions"])


def _all_same(step: dict[str, Any]) -> bool:
    return all(row["same"] for row in step["saved_files"])


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
            lines.append(
                f"  {cause['verdict']} {cause['kind']}, {', '.join(cause['calls'])} ({size})"
            )
            lines.append(f"    {cause['first']}")
            if cause["kind"] in MOVERS:
                lines.append(f"    {cause['why']}")
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

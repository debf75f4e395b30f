"""The step's summary: what a run found, in Markdown, never longer than GitHub takes."""

import errno
import os
from collections import Counter
from pathlib import Path

from ..findings import Finding
from ..reporting import table as matrix
from ..results import Results
from .markdown import block, span, table

MOST_BYTES = 1024 * 1024  # of all that a step appends; GitHub drops what is longer, all of it
SHOWN = 20  # failures, and reasons of a kind
LINES = 40  # of one failure
OUTCOMES = {"failed": "failed", "error": "with an error", "passed": "passed"}
OUTCOMES |= {"known": "known to fail", "skipped": "skipped"}
ENDS = {
    0: "Green",
    1: "Red",
    2: "Red, stopped early",
    3: "Red, pytest itself failed",
    4: "Red, nothing ran",
    5: "Red, no test was selected",
}
NOTE = "Left out, for a step's summary has 1 MiB: {} parts of this one. They are in the log."


def verdict(code: int, results: Results) -> str:
    """How the run ended, in a sentence."""
    counts = Counter(results.outcomes.values())
    counts["error"] += sum(it.node not in results.outcomes for it in results.red())  # modules
    said = [f"{counts[it]} {word}" for it, word in OUTCOMES.items() if counts[it]]
    said += [f"problems of the run: {len(results.problems)}"] if results.problems else []
    return f"## Model conformance: {ENDS.get(code, f'Red, exit code {code}')}\n\n" + (
        f"{', '.join(said) or 'No check ran'}."
    )


def failure(finding: Finding) -> str:
    """A failure as the terminal shows it: first line, diff, and what to type next."""
    lines = [finding.first_line, *finding.lines[1:]]
    if lines[-1] == finding.rerun:
        lines.pop()
    cut = [f"({len(lines) - LINES} more lines)"] if len(lines) > LINES else []
    return block([*lines[:LINES], *cut, finding.rerun])


def reasons(word: str, results: Results) -> list[str]:
    """The reasons of an outcome with their counts, the most frequent first."""
    found = Counter(it.reason for it in results.findings.values() if it.outcome == word)
    counts = sorted(found.items(), key=lambda it: (-it[1], it[0]))
    lines = [f"- {count} {word}: {span(reason)}" for reason, count in counts[:SHOWN]]
    more = [f"- {word} for {len(counts) - SHOWN} more reasons"] if len(counts) > SHOWN else []
    return ["\n".join([*lines, *more])] if lines else []


def parts(code: int, results: Results, environment: list[str]) -> list[str]:
    """The summary from its most to its least important part, each whole in itself."""
    found, red = [verdict(code, results)], results.red()
    rows = matrix(results.outcomes) if results.outcomes else []  # without, data may be unreadable
    found += [table(rows)] if len(rows) > 1 else []
    found += [block(problem.splitlines()) for problem in results.problems]
    if red:
        of = f", the first {SHOWN} of {len(red)}" if len(red) > SHOWN else ""
        found += [f"### Failures{of}", *map(failure, red[:SHOWN])]
    found += reasons("known", results) + reasons("skipped", results)
    return [*found, block(environment)]


def fitting(found: list[str], room: int) -> str:
    """As many of the parts, the first ones first, as fit into `room` bytes."""
    room -= len(NOTE.encode()) + 16
    kept: list[str] = []
    for part in found:
        size = len(part.encode(errors="replace")) + 2
        if size <= room:
            kept.append(part)
            room -= size
    if len(kept) < len(found):
        kept.append(NOTE.format(len(found) - len(kept)))
    return "\n\n".join(kept) + "\n"


def append(path: Path, found: list[str]) -> None:
    """Append what fits, whole or not at all; OSError if it cannot be written."""
    with path.open("ab", buffering=0) as stream:
        before = stream.tell()
        text = fitting(found, MOST_BYTES - before - 2)
        content = (b"\n\n" if before else b"") + text.encode(errors="replace")
        if before + len(content) > MOST_BYTES:
            raise OSError(errno.EFBIG, "earlier commands of this step took its 1 MiB")
        if stream.write(content) != len(content):
            stream.truncate(before)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

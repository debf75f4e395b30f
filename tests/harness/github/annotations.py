"""Workflow commands that put errors beside the lines of a pull request."""

import re
from collections.abc import Iterable
from pathlib import PurePosixPath

from ..findings import Finding
from ..results import place_of
from ..visible import readable

MOST = 10  # errors GitHub takes of a step; it drops the others without a word
DATA_FILE = re.compile(r"\bfixtures/[\w./-]+\.\w+")
LINE = re.compile(r"\bline (\d+)")  # as tomllib and json say where they stopped


def escaped(text: str, *others: str) -> str:
    """Text that can end neither the command nor, with `others`, its property."""
    for character in ("%", "\r", "\n", *others):  # the first one is in all escapes
        text = text.replace(character, f"%{ord(character):02X}")
    return text


def command(lines: Iterable[str], **properties: object) -> str:
    """One error; properties without a value are left out."""
    given = [f"{name}={escaped(str(it), ':', ',')}" for name, it in properties.items() if it]
    message = "\n".join(map(readable, lines))
    return f"::error {','.join(given)}::{escaped(message)}"


def of_finding(finding: Finding, folder: PurePosixPath) -> str:
    """A test, at the line where it begins; `folder` is the project's within the repository."""
    place = place_of(finding.node)
    words = " ".join(place) if place else finding.node
    return command(
        [finding.first_line, finding.rerun],
        file=folder / finding.node.partition("::")[0],
        line=finding.line,
        title=readable(f"{words}: {finding.outcome}"),
    )


def of_problem(problem: str, folder: PurePosixPath) -> str:
    """What is red without a test: the gate, a recording, data; at the data file it names."""
    file, line = DATA_FILE.search(problem), LINE.search(problem)
    return command(
        problem.splitlines(),
        file=folder / file[0] if file else None,
        line=line[1] if file and line else None,
        title="model conformance",
    )


def annotations(
    findings: Iterable[Finding], problems: Iterable[str], folder: PurePosixPath
) -> list[str]:
    """All there is to say, in as many commands as GitHub takes."""
    told = [of_finding(it, folder) for it in findings]
    told += [of_problem(it, folder) for it in problems]
    if len(told) > MOST:
        more = len(told) - (MOST - 1)
        said = f"{more} more errors: see the step's summary and its log"
        told[MOST - 1 :] = [command([said], title="model conformance")]
    return told

"""What GitHub shows of a run: the step's summary, and errors beside the lines of a pull request.

The plugin pytest-github-actions-annotate-failures cannot do the latter here. It prints while tests
run, when the runner obeys no command (see `pytest_runtestloop`); it sees neither broken fixtures
and modules nor the gate; and it puts the test's name in front of the message.
"""

import errno
import os
import re
import secrets
from collections import Counter
from collections.abc import Generator, Iterable
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from ..html.pages import readable
from ..plugins import options
from ..plugins.results import RESULTS, Finding, Results
from ..plugins.summary import table
from ..plugins.tokenizers import SOURCES
from ..redaction import redact
from ..versions import versions

MOST_BYTES = 1024 * 1024  # of all that a step appends; GitHub drops what is longer, all of it
_SUMMARY, _ACTIONS = "GITHUB_STEP_SUMMARY", "GITHUB_ACTIONS"
_STEP = pytest.StashKey[dict[str, str]]()
_FAILURES, _REASONS, _LINES = 20, 20, 40  # shown of a run, of an outcome, of a failure
_ANNOTATIONS = 10  # errors GitHub takes of a step; it drops the others without a word
_WORDS = {"failed": "failed", "error": "with an error", "passed": "passed"}
_WORDS |= {"known": "known to fail", "skipped": "skipped"}
_ENDS = {
    0: "Green",
    1: "Red",
    2: "Red, stopped early",
    3: "Red, pytest itself failed",
    4: "Red, nothing ran",
    5: "Red, no test was selected",
}
_Code = int | pytest.ExitCode | None


@pytest.hookimpl(wrapper=True, tryfirst=True)  # no plugin starts a process with the step's names
def pytest_cmdline_main(config: pytest.Config) -> Generator[None, _Code, _Code]:
    """Write summary and annotations, also of a run that a mistake in the data ended."""
    # Workers, measuring processes and the suite's own tests must not write to this step, too.
    step = {name: os.environ.pop(name) for name in (_SUMMARY, _ACTIONS) if name in os.environ}
    config.stash[_STEP] = step
    results, code = Results(), None
    try:
        code = yield
        results = config.stash.get(RESULTS, results)
        return code
    except pytest.UsageError as error:
        code, results = 4, Results(problems=[str(error)])
        raise
    finally:
        os.environ.update(step)
        if code or results.outcomes:  # neither of them: --help, --collect-only and the like
            _write(config, step, int(code or 0), results)


@pytest.hookimpl(wrapper=True)
def pytest_runtestloop(session: pytest.Session) -> Generator[None, Any, Any]:
    """While tests run, let the runner obey no output, not even what bypasses pytest."""
    reporter: Any = session.config.pluginmanager.get_plugin("terminalreporter")
    if not (reporter and session.config.stash[_STEP].get(_ACTIONS) == "true"):
        return (yield)
    word = secrets.token_hex(16)
    reporter.flush()
    print(f"::stop-commands::{word}", flush=True)  # not by the reporter, which would escape it
    try:
        return (yield)
    finally:
        reporter.flush()
        print(f"\n::{word}::", flush=True)  # obeyed at the beginning of a line alone


def _write(config: pytest.Config, step: dict[str, str], code: int, results: Results) -> None:
    if path := step.get(_SUMMARY):
        header = [", ".join(f"{name} {number}" for name, number in versions().items())]
        if SOURCES in config.stash:  # options and data were sound
            header = options.pytest_report_header(config)
        try:
            append(Path(path), [redact(part) for part in summary(code, results, header)])
        except OSError as error:
            print(f"{_SUMMARY}: no summary written: {error.strerror}", flush=True)
    if step.get(_ACTIONS) == "true":
        for line in _annotations(results, _folder(config)):
            print(redact(line), flush=True)


def summary(code: int, results: Results, header: list[str]) -> list[str]:
    """The summary's Markdown from its most to its least important part, each whole in itself."""
    failures, outcomes = results.failures(), Counter(results.outcomes.values())
    outcomes["error"] += sum(f.node not in results.outcomes for f in failures)  # modules
    counts = [f"{outcomes[name]} {word}" for name, word in _WORDS.items() if outcomes[name]]
    counts += [f"problems of the run: {len(results.problems)}"] if results.problems else []
    parts = [
        f"## Model conformance: {_ENDS.get(code, f'Red, exit code {code}')}",
        f"{', '.join(counts) or 'No check ran'}.",
    ]
    rows = table(results) if results.outcomes else []  # without, data may be unreadable
    parts += [_markdown_table(rows)] if len(rows) > 1 else []
    parts += [code_block([results.scope])] if results.scope else []
    parts += [code_block(problem.splitlines()) for problem in results.problems]
    parts += [code_block(header)]
    if failures:
        few = f", the first {_FAILURES} of {len(failures)}" if len(failures) > _FAILURES else ""
        parts += [f"### Failures{few}", *map(_failure, failures[:_FAILURES])]
    return [*parts, *_reasons("known", results), *_reasons("skipped", results)]


def _failure(finding: Finding) -> str:
    lines = [line for line in finding.lines[1:] if line != finding.next_step]
    more = [f"({len(lines) - _LINES} more lines)"] if len(lines) > _LINES else []
    return code_block([finding.first_line, *lines[:_LINES], *more, finding.next_step])


def _reasons(outcome: str, results: Results) -> list[str]:
    """One block: the reasons of an outcome with their counts, the most frequent first."""
    counts = Counter(f.reason for f in results.findings.values() if f.outcome == outcome)
    rows = sorted(counts.items(), key=lambda row: (-row[1], row[0]))
    lines = [f"{count} {outcome}: {reason}" for reason, count in rows[:_REASONS]]
    more = [f"{outcome} for {len(rows) - _REASONS} more reasons"] if len(rows) > _REASONS else []
    return [code_block([*lines, *more])] if lines else []


def append(path: Path, parts: list[str]) -> None:
    """Append the parts that fit, the first ones first, or nothing; OSError if it cannot be."""
    with path.open("ab", buffering=0) as stream:
        before, kept = stream.tell(), list(parts)
        content = _joined(kept, "\n\n" if before else "")
        while kept and before + len(content) > MOST_BYTES:
            kept.pop()
            note = f"Left out, for a step's summary has 1 MiB: {len(parts) - len(kept)} parts."
            content = _joined([*kept, note], "\n\n" if before else "")
        if not kept:
            raise OSError(errno.EFBIG, "earlier commands of this step took its 1 MiB")
        if stream.write(content) != len(content):
            stream.truncate(before)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _joined(parts: list[str], start: str) -> bytes:
    return (start + "\n\n".join(parts) + "\n").encode(errors="replace")


def _annotations(results: Results, folder: PurePosixPath) -> list[str]:
    """An error for each failure and problem, as many as GitHub takes."""
    errors = [_of_failure(finding, folder) for finding in results.failures()]
    errors += [_of_problem(problem, folder) for problem in results.problems]
    if len(errors) > _ANNOTATIONS:
        more = len(errors) - (_ANNOTATIONS - 1)
        note = f"{more} more errors: see the step's summary and its log"
        errors[_ANNOTATIONS - 1 :] = [annotation([note], title="model conformance")]
    return errors


def _of_failure(finding: Finding, folder: PurePosixPath) -> str:
    """At the line where the test begins; `folder` is the project's within the repository."""
    check = finding.check
    name = f"{check.model} {check.area}" if check else finding.node
    return annotation(
        [finding.first_line, finding.next_step],
        file=folder / finding.node.partition("::")[0],
        line=finding.line,
        title=f"{readable(name)}: {finding.outcome}",
    )


def _of_problem(problem: str, folder: PurePosixPath) -> str:
    """What is red without a test: the gate, a snapshot, data; at the data file it names."""
    file = re.search(r"\bfixtures/[\w./-]+\.\w+", problem)
    line = re.search(r"\bline (\d+)", problem)  # as tomllib and json say where they stopped
    return annotation(
        problem.splitlines(),
        file=folder / file[0] if file else None,
        line=line[1] if file and line else None,
        title="model conformance",
    )


def annotation(lines: Iterable[str], **properties: object) -> str:
    """The command for one error; properties without a value are left out."""
    pairs = [
        f"{name}={_escaped(str(value), ':', ',')}" for name, value in properties.items() if value
    ]
    message = "\n".join(map(readable, lines))
    return f"::error {','.join(pairs)}::{_escaped(message)}"


def _escaped(text: str, *others: str) -> str:
    for character in ("%", "\r", "\n", *others):  # the first one is in all escapes
        text = text.replace(character, f"%{ord(character):02X}")
    return text


def _folder(config: pytest.Config) -> PurePosixPath:
    workspace = Path(os.environ.get("GITHUB_WORKSPACE") or config.rootpath).resolve()
    if config.rootpath.is_relative_to(workspace):
        return PurePosixPath(config.rootpath.relative_to(workspace).as_posix())
    return PurePosixPath()


def code_block(lines: list[str]) -> str:
    """Lines as Markdown that no text of theirs leaves, misleading characters made visible."""
    text = "\n".join(map(readable, lines))
    longest = max(map(len, re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{text}\n{fence}"


def _markdown_table(rows: list[list[str]]) -> str:
    """Rows of cells, titles first: keys of models, names of files and numbers need no escape."""
    lines = [rows[0], ["---"] * len(rows[0]), *rows[1:]]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)

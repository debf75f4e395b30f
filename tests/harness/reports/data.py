"""The run as plain data: what `report.json` holds, field by field. `format` counts its versions.

A new field leaves the format as it is; one that goes or means something else raises it.
Secrets are hidden, and control characters visible.
"""

from dataclasses import dataclass, field
from typing import Any, Literal

from ..plugins.results import Finding, Results

FORMAT = 2


@dataclass(frozen=True)
class Failure:
    """A check that failed, or an error around it."""

    node: str  # pytest's node id; of a module that could not be collected, its path
    outcome: str  # failed or error
    model: str  # its key; empty if the test checks no model
    area: str  # a column of the matrix; empty as well
    first_line: str  # as in the terminal
    cause: str  # what the first line calls the likely cause; empty if it names none
    lines: list[str]  # the whole message
    rerun: str  # `rerun: COMMAND` or `if intended: COMMAND`
    evidence: dict[str, Any] | None  # both sides, see tests/harness/diff.py


@dataclass(frozen=True)
class Named:
    """A test and the first line of its message, empty if there is none."""

    node: str
    first_line: str


@dataclass(frozen=True)
class Group:
    """Tests with one reason; `count` is more than the tests where whole modules are skipped."""

    reason: str
    count: int
    tests: list[Named]


@dataclass(frozen=True)
class Source:
    """Where a model's files came from."""

    key: str
    hub_id: str
    revision: str | None  # None: the model is not from the hub
    source: str  # bundle, hub or the folder that was given
    weights: str | None  # None: none are loaded


@dataclass(frozen=True)
class Load:
    """The memory of a loaded model; `name` is `smollm2-cpu-nf4`."""

    name: str
    figures: dict[str, Any]  # see LoadFigures in tests/harness/model/figures.py


@dataclass(frozen=True)
class Latency:
    """A benchmark; `name` is that of its test."""

    name: str
    figures: dict[str, Any]  # see LatencyFigures in tests/harness/latency/session.py
    now: list[list[float]]  # seconds by process and round
    baseline: list[list[float]]  # the same of the baseline; empty if compared with nothing
    # Of each run that this machine saved, the oldest first: the median, between its interval's ends
    history: list[list[float]] = field(default_factory=list)


@dataclass(frozen=True)
class Report:
    """A run."""

    format: int
    verdict: str  # green, red, or "nothing ran"
    stopped: str  # why the run is not complete; empty if it is
    exit_code: int  # pytest's
    started: str  # ISO 8601, UTC
    seconds: float
    command: str
    selected: int  # tests that were to run
    counts: dict[str, int]  # of tests: passed, failed, error, known, skipped
    versions: dict[str, str]
    machine: dict[str, str]  # system, processor, cores; device and driver where CUDA was used
    gate: bool
    scope: str  # what the gate demanded and had, and what was left out; empty without it
    models: list[Source]
    matrix: list[list[str]]  # rows of model x area as in the terminal, titles included
    problems: list[str]  # of the gate, and of snapshots and baselines that were not written
    missing_evidence: list[str]  # missing evidence, without the gate
    failures: list[Failure]
    known: list[Group]  # expected failures by declared reason
    skipped: list[Group]
    memory: list[Load]
    latency: list[Latency]


def verdict_of(results: Results, exit_code: int) -> str:
    """The run in a word; a run in which every test was skipped is not green."""
    if exit_code not in (0, 5):
        return "red"
    judged = any(outcome != "skipped" for outcome in results.outcomes.values())
    return "green" if judged else "nothing ran"


def failure_of(finding: Finding) -> Failure:
    """The report's entry of a finding that failed."""
    check = finding.check
    return Failure(
        node=finding.node,
        outcome=finding.outcome,
        model=check.model if check else "",
        area=check.area if check else "",
        first_line=finding.first_line,
        cause=finding.cause,
        lines=list(finding.lines),
        rerun=finding.next_step,
        evidence=dict(finding.evidence) if finding.evidence else None,
    )


def grouped(results: Results, outcome: Literal["known", "skipped"]) -> list[Group]:
    """Tests of one outcome by reason; of the skipped also reasons that only modules have."""
    counts = results.skips if outcome == "skipped" else {}
    tests: dict[str, list[Named]] = {reason: [] for reason in counts}
    for finding in results.findings.values():
        if finding.outcome == outcome:
            line = finding.lines[0] if finding.lines else ""
            tests.setdefault(finding.reason, []).append(Named(finding.node, line))
    return [Group(why, counts.get(why, len(named)), named) for why, named in tests.items()]

"""The run as plain data: what `report.json` holds, field by field. `format` counts its versions.

A new field leaves the format as it is; one that goes or means something else raises it.
Secrets are hidden, and control characters visible.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from tests.harness.findings import Finding
from tests.harness.results import Results, model_of, place_of

FORMAT = 1
CAUSE = "likely cause: "  # how the last clause of a first line begins


@dataclass(frozen=True)
class Failure:
    """A check that failed, or an error around it."""

    node: str  # pytest's node id; of a module that could not be collected, its path
    outcome: str  # failed or error
    model: str  # its key; empty if the test is none of a model
    area: str  # a column of the matrix; empty as well
    first_line: str  # as in the terminal
    cause: str  # what the first line calls the likely cause; empty if it names none
    lines: list[str]  # the whole message
    rerun: str  # `rerun: COMMAND` or `if intended: COMMAND`
    evidence: dict[str, Any] | None  # both sides, see tests/harness/evidence.py


@dataclass(frozen=True)
class Named:
    """A test, and the first line of what it said; empty if it said nothing."""

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
    figures: dict[str, Any]  # see LoadFigures in tests/harness/load_figures.py


@dataclass(frozen=True)
class Latency:
    """A benchmark; `name` is that of its test."""

    name: str
    figures: dict[str, Any]  # see LatencyFigures in tests/harness/latency/report.py
    now: list[list[float]]  # seconds by process and round
    baseline: list[list[float]]  # of the recording; empty if compared with nothing


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
    models: list[Source]
    matrix: list[list[str]]  # rows of model x area as in the terminal, titles included
    problems: list[str]  # what the gate and the updates of recordings complain of
    unproved: list[str]  # evidence that is not there, without the gate
    failures: list[Failure]
    known: list[Group]  # expected failures by declared reason
    skipped: list[Group]
    memory: list[Load]
    latency: list[Latency]
    vocabulary: dict[str, Any] | None  # see tests/harness/reports/vocabulary.py
    vocabulary_problem: str  # why there is none


def verdict_of(results: Results, exit_code: int) -> str:
    """The run in a word; a run that judged nothing is not green."""
    judged = [it for it in results.outcomes.values() if it != "skipped"]
    if exit_code not in (0, 5):
        return "red"
    return "green" if judged else "nothing ran"


def failure(finding: Finding) -> Failure:
    """What is told of a failure."""
    model, area = place_of(finding.node) or (model_of(finding.node), "")
    return Failure(
        node=finding.node,
        outcome=finding.outcome,
        model=model if area else "",
        area=area,
        first_line=finding.first_line,
        cause=finding.first_line.partition(CAUSE)[2],
        lines=list(finding.lines),
        rerun=finding.rerun,
        evidence=dict(finding.evidence) if finding.evidence else None,
    )


def groups(findings: Iterable[Finding], counts: dict[str, int]) -> list[Group]:
    """Findings by reason; `counts` adds reasons that no test has."""
    tests: dict[str, list[Named]] = {reason: [] for reason in counts}
    for it in findings:
        line = it.lines[0] if it.lines else ""
        tests.setdefault(it.reason, []).append(Named(it.node, line))
    return [Group(why, counts.get(why, len(them)), them) for why, them in tests.items()]

"""Collects the data of a run from pytest's objects, without secrets and control characters."""

import os
import platform
import shlex
import sys
from collections import Counter
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

import pytest

from ..data.registry import registry
from ..errors import DataError
from ..latency.machine import identity
from ..latency.session import LATENCY_RUN, LatencyRun
from ..model.device import has_cuda
from ..plugins.results import RESULTS, Results
from ..plugins.summary import table
from ..plugins.tokenizers import KEYS, SOURCES, weights_of
from ..redaction import sanitize
from ..versions import versions
from .data import FORMAT, Latency, Load, Report, Source, failure_of, grouped, verdict_of

_UNFINISHED = {
    int(pytest.ExitCode.INTERRUPTED): "interrupted",
    int(pytest.ExitCode.INTERNAL_ERROR): "pytest itself failed",
}
_OUTCOMES = ("passed", "failed", "error", "known", "skipped")


def collect(session: pytest.Session, selected: int, started: str, seconds: float) -> dict[str, Any]:
    """The run as `report.json` holds it: `Report` as plain data.

    `selected` tests were to run; the run `started` then (ISO 8601) and took `seconds`.
    """
    config, results = session.config, session.config.stash[RESULTS]
    counts = Counter(results.outcomes.values())
    report = Report(
        format=FORMAT,
        verdict=verdict_of(results, int(session.exitstatus)),
        stopped=_why_stopped(session, results, selected),
        exit_code=int(session.exitstatus),
        started=started,
        seconds=round(seconds, 1),
        command=shlex.join(["pytest", *map(os.fspath, config.invocation_params.args)]),
        selected=selected,
        counts={name: counts[name] for name in _OUTCOMES},
        versions={**versions(), "pytest": version("pytest")},
        machine=_machine(),
        gate=config.getoption("gate"),
        scope=results.scope,
        models=_sources(config),
        matrix=table(results),
        problems=list(results.problems),
        missing_evidence=list(results.missing_evidence),
        failures=[failure_of(finding) for finding in results.failures()],
        known=grouped(results, "known"),
        skipped=grouped(results, "skipped"),
        memory=[
            Load(name.removeprefix("memory "), figures)
            for name, figures in results.measured.items()
            if name.startswith("memory ")
        ],
        latency=_latencies(config.stash[LATENCY_RUN], results.measured),
    )
    clean: dict[str, Any] = sanitize(asdict(report))
    return clean


def _machine() -> dict[str, str]:
    """System and processor; CUDA only where torch is loaded already, which takes seconds."""
    here = identity("cpu")
    facts = {"system": platform.platform(), "processor": here["device"], "cores": here["cores"]}
    return facts | (identity("cuda") if "torch" in sys.modules and has_cuda() else {})


def _sources(config: pytest.Config) -> list[Source]:
    folders, weights, sources = config.stash[SOURCES], weights_of(config), []
    for model in (registry()[key] for key in config.stash[KEYS]):
        origin = str(folders.directories.get(model.key, folders.default))
        own = weights.get(model.key)
        sources.append(Source(model.key, model.hub_id, model.revision, origin, own))
    return sources


def _latencies(run: LatencyRun, measured: dict[str, dict[str, Any]]) -> list[Latency]:
    """The benchmarks that were timed, with every round."""
    try:
        history = run.history()
    except DataError:  # which saving said, and nothing but a line of the page needs
        history = {}
    baselines = run.baseline.benchmarks if run.baseline else {}
    return [
        Latency(
            name,
            measured.get(f"latency {name}", {}),
            [list(rounds) for rounds in timed.seconds],
            [list(rounds) for rounds in baselines[name].seconds] if name in baselines else [],
            [list(point) for point in history.get(name, [])],
        )
        for name, timed in (run.recording().benchmarks if run.own else {}).items()
    ]


def _why_stopped(session: pytest.Session, results: Results, selected: int) -> str:
    code, ran = int(session.exitstatus), len(results.outcomes)
    if lost := sum(node not in results.outcomes for node in results.findings):
        return f"{lost} {'file' if lost == 1 else 'files'} could not be collected"
    if ran >= selected and code not in _UNFINISHED:
        return ""
    why = session.shouldfail or session.shouldstop or _UNFINISHED.get(code, "not all were run")
    return f"{why}; {ran:,} of {selected:,} tests ran"

"""Gathers the data of a run from pytest's objects, clean of secrets and control characters."""

import os
import platform
import shlex
import sys
from collections import Counter
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

import pytest

from tests.harness.cleaning import cleaned
from tests.harness.device import has_cuda
from tests.harness.latency.machine import identity
from tests.harness.latency.session import LATENCY_RUN, LatencyRun
from tests.harness.loading import KEYS, SOURCES, WEIGHTS, models_of
from tests.harness.models import registry
from tests.harness.options import versions
from tests.harness.reporting import table
from tests.harness.results import RESULTS, Results
from tests.harness.weights import in_force

from .data import FORMAT, Latency, Load, Report, Source, failure, groups, verdict_of
from .vocabulary import vocabulary

ENDED = {
    int(pytest.ExitCode.INTERRUPTED): "interrupted",
    int(pytest.ExitCode.INTERNAL_ERROR): "pytest itself failed",
}
OUTCOMES = ("passed", "failed", "error", "known", "skipped")


def machine() -> dict[str, str]:
    """What the run stood on; CUDA only where torch is loaded, which takes seconds."""
    here = identity("cpu")
    found = {"system": platform.platform(), "processor": here["device"], "cores": here["cores"]}
    return found | (identity("cuda") if "torch" in sys.modules and has_cuda() else {})


def sources(config: pytest.Config) -> list[Source]:
    """Where the files of each chosen model came from."""
    given, found = config.stash[SOURCES], []
    for key in config.stash[KEYS]:
        model = registry()[key]
        option = config.stash[WEIGHTS][key]
        weights = in_force(model, option) if model.quantized_on else None
        where = str(given.directories.get(key, given.default))
        found.append(Source(key, model.hub_id, model.revision, where, weights))
    return found


def latencies(run: LatencyRun, measured: dict[str, dict[str, Any]]) -> list[Latency]:
    """The benchmarks that were timed, with every round."""
    there = run.baseline.benchmarks if run.baseline else {}
    return [
        Latency(
            name,
            measured.get(f"latency {name}", {}),
            [list(rounds) for rounds in timed.seconds],
            [list(rounds) for rounds in there[name].seconds] if name in there else [],
        )
        for name, timed in (run.recording().benchmarks if run.own else {}).items()
    ]


def words_used(config: pytest.Config) -> tuple[dict[str, Any] | None, str]:
    """The vocabulary section, or why there is none: that must not cost the run its report."""
    try:
        return vocabulary(models_of(config)), ""
    except (Exception, pytest.fail.Exception) as error:
        return None, f"{type(error).__name__}: {error}"


def stopped(session: pytest.Session, results: Results, selected: int) -> str:
    """Why the run is not complete; empty if it is."""
    code, ran = int(session.exitstatus), len(results.outcomes)
    if lost := sum(node not in results.outcomes for node in results.findings):
        return f"{lost} {'file' if lost == 1 else 'files'} could not be collected"
    if ran >= selected and code not in ENDED:
        return ""
    why = session.shouldfail or session.shouldstop or ENDED.get(code, "not all were run")
    return f"{why}; {ran:,} of {selected:,} tests ran"


def gather(session: pytest.Session, selected: int, started: str, seconds: float) -> dict[str, Any]:
    """The run as `report.json` holds it: `Report` as plain data."""
    config, results = session.config, session.config.stash[RESULTS]
    findings, why_stopped = list(results.findings.values()), stopped(session, results, selected)
    known = [it for it in findings if it.outcome == "known"]
    skipped = [it for it in findings if it.outcome == "skipped"]
    counts = Counter(results.outcomes.values())
    words, problem = (None, "") if why_stopped else words_used(config)
    report = Report(
        format=FORMAT,
        verdict=verdict_of(results, int(session.exitstatus)),
        stopped=why_stopped,
        exit_code=int(session.exitstatus),
        started=started,
        seconds=round(seconds, 1),
        command=shlex.join(["pytest", *map(os.fspath, config.invocation_params.args)]),
        selected=selected,
        counts={name: counts[name] for name in OUTCOMES},
        versions={**versions(), "pytest": version("pytest")},
        machine=machine(),
        gate=config.getoption("gate"),
        models=sources(config),
        matrix=table(results.outcomes),
        problems=list(results.problems),
        unproved=list(results.unproved),
        failures=[failure(it) for it in results.red()],
        known=groups(known, {}),
        skipped=groups(skipped, dict(results.skips)),
        memory=[
            Load(name.removeprefix("memory "), it)
            for name, it in results.measured.items()
            if name.startswith("memory ")
        ],
        latency=latencies(config.stash[LATENCY_RUN], results.measured),
        vocabulary=words,
        vocabulary_problem=problem,
    )
    clear: dict[str, Any] = cleaned(asdict(report))
    return clear

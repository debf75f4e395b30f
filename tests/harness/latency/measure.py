"""Times a benchmark, checks that the time can be believed, and compares it with the baseline."""

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, cast

import pytest

from .. import device as devices
from ..diagnosis import fail
from ..live import Live
from ..models import DataError, Device
from ..options import versions
from ..places import place_of
from . import verdict as verdicts
from .machine import clocks, identity, run_controls, use_one_thread
from .pace import Paced
from .processes import measure_apart
from .recording import Keys, Timed
from .session import LATENCY_RUN, LatencyRun, refuse_losing
from .spec import benchmark_of
from .terminal import latency_figures

Measure = Callable[..., None]


@pytest.fixture(scope="session")
def latency_run(request: pytest.FixtureRequest) -> LatencyRun:
    """The run, once its other processes are done and the machine's own speed is measured."""
    config, run = request.config, request.config.stash[LATENCY_RUN]
    if hasattr(config, "workerinput"):
        pytest.fail("latency: run without -n: workers slow each other down", pytrace=False)
    try:
        if run.save:
            refuse_losing(run.save, [item.name for item in request.session.items])
    except DataError as error:
        pytest.fail(f"latency: {error}", pytrace=False)
    run.earlier += measure_apart(request.session, run.processes - 1)
    items = request.session.items
    predictions = [it for it in items if "live_place" in getattr(it, "fixturenames", ())]
    on_cuda = [it for it in predictions if it.get_closest_marker("gpu")]
    if len(predictions) > len(on_cuda):
        use_one_thread()
    for device in cast(
        list[Device], ["cpu", *(["cuda"] if on_cuda and devices.has_cuda() else [])]
    ):
        run.machine[device] = identity(device)
        if predictions:  # the tokenizers need no torch
            run.controls |= {name: (tuple(it),) for name, it in run_controls(device).items()}
    return run


@pytest.fixture
def timed(request: pytest.FixtureRequest, benchmark: Any, latency_run: LatencyRun) -> Measure:
    """Times a call as its entry in fixtures/benchmarks.toml says, and judges the time.

    The call returns the new tokens, if it makes any. A setup, if there is one, runs before every
    call and is not timed.
    """
    test = request.node
    spec = benchmark_of(test.originalname)
    place = place_of(test)
    device: Device = place[1] if place else "cpu"

    def measure(
        call: Callable[[], Any],
        keys: Keys,
        live: Live | None = None,
        setup: Callable[[], None] | None = None,
    ) -> None:
        what = verdicts.title(test.name, spec, keys)
        if benchmark.disabled:
            fail(f"{what}: nothing is timed under --benchmark-disable, nor with -n")
        if device == "cuda":
            verdicts.check_clock(what, test.get_closest_marker("benchmark").kwargs["timer"])
        devices.collect(device)
        devices.peak(device, reset=True)
        rounds, paced = spec.rounds[device], Paced(call, setup)
        answer = benchmark.pedantic(
            paced, setup=paced.before, rounds=rounds, warmup_rounds=spec.warmup
        )
        pace = (paced.paces(rounds),) if device == "cpu" else ()
        own = Timed(keys, (tuple(benchmark.stats.stats.data),), pace)
        latency_run.own[test.name] = own
        benchmark.extra_info |= described(latency_run, device) | keys
        if live is not None:
            verdicts.check_tokens(what, answer, int(keys["batch"]) * int(keys["new_tokens"]))
            share = verdicts.check_possible(latency_run, what, live, own)
            benchmark.extra_info["roofline"] = latency_run.shares[test.name] = share
        try:
            verdicts.compare(latency_run, test.name, what, device)
        finally:
            told = latency_figures(latency_run, test.name, devices.peak(device))
            test.user_properties.append((f"latency {test.name}", json.dumps(asdict(told))))

    return measure


def described(run: LatencyRun, device: Device) -> dict[str, Any]:
    """What pytest-benchmark's own files say beside the seconds; `peak` in bytes."""
    info = {**run.machine[device], "clocks": clocks(device), "versions": versions()}
    return {**info, "peak": devices.peak(device)}

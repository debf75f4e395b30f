"""Times a benchmark, checks that the time can be believed, and compares it with the baseline."""

import json
import os
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from typing import Any

import pytest

from ..data.registry import Device
from ..errors import DataError, fail
from ..model import device as devices
from ..model.loading import LoadedModel
from ..plugins.parametrize import placement_of
from ..plugins.tokenizers import tokenizers_of
from ..sources.identity import code_identity, in_one, tokenizer_identity, weights_identity
from ..versions import versions
from . import verdict
from .machine import clocks, identity, resident_bytes, run_controls
from .processes import measure_in_processes
from .recording import Keys, Timed
from .rounds import Paced
from .session import LATENCY_RUN, LatencyRun, refuse_to_lose
from .spec import Benchmark, benchmark_of
from .turns.granted import Turned

# What times, and what is timed.
CODE = ("tests/benchmarks", "tests/harness/latency", "fixtures/benchmarks.toml", "fixtures/prices")
Measure = Callable[..., None]  # _measure, from its argument `key` on


@pytest.fixture(scope="session")
def latency_run(request: pytest.FixtureRequest) -> LatencyRun:
    """The run, once its other processes are done and the machine's own speed is measured."""
    config, items = request.config, request.session.items
    run = config.stash[LATENCY_RUN]
    if hasattr(config, "workerinput"):
        pytest.fail("latency: run without -n: workers slow each other down", pytrace=False)
    try:
        if run.save:
            refuse_to_lose(run.save, [item.name for item in items])
    except DataError as error:
        pytest.fail(f"latency: {error}", pytrace=False)
    run.earlier += measure_in_processes(request.session, run.processes - 1)
    used = {placement[1] for item in items if (placement := placement_of(item))}
    if "cpu" in used:
        import torch

        # More would wait for the slowest core each time, and no pace beside the rounds shows it.
        torch.set_num_threads(1)
    here: tuple[Device, ...] = ("cpu", "cuda")
    for device in here if "cuda" in used and devices.has_cuda() else here[:1]:
        run.machine[device] = identity(device)
        # The tokenizers need no torch. Sides that take turns start at once: each would find the
        # machine half as fast as it is, and then a prediction impossibly fast.
        if used and not config.getoption("latency_turns"):
            run.controls |= {name: (tuple(t),) for name, t in run_controls(device).items()}
    return run


def _made_of(config: pytest.Config, key: str, loaded_model: LoadedModel | None) -> Keys:
    """What a time depends on beside versions and machine, as short digests."""
    about: Keys = {
        "tokenizer_files": in_one(tokenizer_identity(tokenizers_of(config)[key].folder)),
        "parallelism": os.environ.get("TOKENIZERS_PARALLELISM", "unset"),
        **code_identity(*CODE),
    }
    if loaded_model is not None:
        about["weights_files"] = in_one(weights_identity(loaded_model.weights))
    return about


@pytest.fixture
def measure(request: pytest.FixtureRequest, benchmark: Any, latency_run: LatencyRun) -> Measure:
    """Times and judges a call: `measure(key, call, keys, loaded_model=None, setup=None)`."""
    return partial(_measure, request.node, benchmark, latency_run)


def _measure(
    test: pytest.Function,
    benchmark: Any,
    run: LatencyRun,
    key: str,
    call: Callable[[], Any],
    keys: Keys,
    loaded_model: LoadedModel | None = None,
    setup: Callable[[], None] | None = None,
) -> None:
    """Time a call for model `key` by the test's entry in fixtures/benchmarks.toml.

    A call of a loaded model returns its new tokens. `setup` runs before every call, untimed.
    """
    spec = benchmark_of(test.originalname)
    keys = {**keys, **_made_of(test.config, key, loaded_model)}
    placement = placement_of(test)
    device: Device = placement[1] if placement else "cpu"
    what = verdict.title(key, spec, keys)
    if benchmark.disabled:
        fail(what, "nothing is timed under --benchmark-disable, nor with -n")
    if device == "cuda":
        marker = test.get_closest_marker("benchmark")
        assert marker is not None  # the benchmarks' conftest gives every test one
        verdict.check_clock(what, marker.kwargs["timer"])
    devices.collect(device)
    devices.peak(device, reset=True)
    time_call = partial(_time, benchmark, call, setup, spec, device)
    tokens, rounds, pace = time_call(test.config.getoption("latency_turns"))
    own = run.own[test.name] = Timed(keys, (rounds,), pace)
    run.memory[test.name] = devices.peak(device) or resident_bytes()
    about = {"clocks": clocks(device), "versions": versions(), "peak": devices.peak(device)}
    benchmark.extra_info |= run.machine[device] | about | keys  # for pytest-benchmark's own files
    if loaded_model is not None:
        verdict.check_tokens(what, tokens, int(keys["batch"]) * int(keys["new_tokens"]))
        if any(name.startswith(device) for name in run.controls):
            share = verdict.check_possible(run, what, loaded_model, own)
            benchmark.extra_info["roofline"] = run.shares[test.name] = share
    try:
        verdict.check_baseline(run, test.name, what, device)
    finally:
        figures = json.dumps(asdict(run.figures(test.name, devices.peak(device))))
        test.user_properties.append((f"latency {test.name}", figures))


def _time(
    benchmark: Any,
    call: Callable[[], Any],
    setup: Callable[[], None] | None,
    spec: Benchmark,
    device: Device,
    pipes: tuple[int, int] | None,
) -> tuple[Any, tuple[float, ...], tuple[tuple[float, ...], ...]]:
    """What the last call returned, the seconds of each round or turn, and the pace beside each."""
    if pipes:
        turned = Turned(call, setup, *pipes)
        return *benchmark.pedantic(turned.measure, args=(spec.warmup_rounds,)), ()
    rounds, paced = spec.rounds[device], Paced(call, setup)
    result = benchmark.pedantic(
        paced, setup=paced.before, rounds=rounds, warmup_rounds=spec.warmup_rounds
    )
    pace = paced.end(rounds) if device == "cpu" else ()
    return result, tuple(benchmark.stats.stats.data), pace

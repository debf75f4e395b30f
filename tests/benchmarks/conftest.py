"""Parametrizes the benchmarks: tokenizers over models, predictions over loads and batches."""

from pathlib import Path
from typing import Any

import pytest

from tests.harness.latency.machine import synchronised
from tests.harness.latency.measure import latency_run, measure
from tests.harness.latency.spec import Benchmark, benchmark_of
from tests.harness.loading import models_of
from tests.harness.places import places, sort
from tests.harness.quantized import live, live_place, models

__all__ = ["latency_run", "live", "live_place", "measure", "models"]


def _combinations(metafunc: pytest.Metafunc, spec: Benchmark) -> list[Any]:
    return [
        pytest.param(
            place,
            batch,
            id="-".join((*place, *([str(batch)] if len(spec.batches) > 1 else []))),
            marks=[pytest.mark.gpu] if place[1] == "cuda" else [],
        )
        for place in places(metafunc.config, metafunc.definition)
        if place[2] in spec.loads.get(place[1], ())
        for batch in spec.batches
    ]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """`model`: the chosen models that have what the test needs; `live_place`: as declared."""
    spec = benchmark_of(metafunc.definition.originalname)
    if "live_place" in metafunc.fixturenames:
        pairs = _combinations(metafunc, spec)
        metafunc.parametrize(("live_place", "batch"), pairs, indirect=["live_place"])
        return
    needs = {name for mark in metafunc.definition.iter_markers("needs") for name in mark.args}
    chosen = {k: t for k, t in models_of(metafunc.config).items() if t.model.can(*needs)}
    metafunc.parametrize("model", chosen.values(), ids=chosen)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Time with a clock that waits for the device; each load's benchmarks one after the other."""
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.benchmark(timer=synchronised, disable_gc=True))
    items[:] = [item for item in items if "[NOTSET" not in item.name]
    sort(items)

"""Parametrizes the benchmarks: tokenizers over models, predictions over loads and batches."""

from pathlib import Path
from typing import Any

import pytest

from tests.harness.latency.machine import synchronized
from tests.harness.latency.measure import latency_run, measure
from tests.harness.latency.spec import Benchmark, benchmark_of
from tests.harness.plugins.parametrize import placements, sort_by_load
from tests.harness.plugins.tokenizers import tokenizers_of

__all__ = ["latency_run", "measure"]


def _combinations(metafunc: pytest.Metafunc, spec: Benchmark) -> list[Any]:
    return [
        pytest.param(
            placement,
            batch,
            id="-".join((*placement, *([str(batch)] if len(spec.batches) > 1 else []))),
            marks=[pytest.mark.gpu] if placement[1] == "cuda" else [],
        )
        for placement in placements(metafunc.config, metafunc.definition)
        if placement[2] in spec.loads.get(placement[1], ())
        for batch in spec.batches
    ]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """`tokenizer`: the chosen models that have what the test needs; `placement`: as declared."""
    spec = benchmark_of(metafunc.definition.originalname)
    if "placement" in metafunc.fixturenames:
        pairs = _combinations(metafunc, spec)
        metafunc.parametrize(("placement", "batch"), pairs, indirect=["placement"])
        return
    needs = {name for mark in metafunc.definition.iter_markers("needs") for name in mark.args}
    chosen = {k: t for k, t in tokenizers_of(metafunc.config).items() if t.spec.can(*needs)}
    metafunc.parametrize("tokenizer", chosen.values(), ids=chosen)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Time with a clock that waits for the device; each load's benchmarks one after the other."""
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.benchmark(timer=synchronized, disable_gc=True))
    sort_by_load(items)

"""Hands a test the model as it was loaded: running it would have changed it."""

from typing import Any

import pytest

from .live import Live
from .nf4 import quantised_layers
from .places import Place
from .quantized import Models


@pytest.fixture
def untouched(live: Live, live_place: Place, models: Models) -> Live:
    """The model as it was loaded: loaded again if it was run since.

    On processors with AVX512-BF16 the first use of a 4-bit layer replaces its weights and its
    quant_state, and turning that back rounds the absmax values to bf16; the first use of an int8
    layer moves its row scales.
    """
    if not any(map(was_run, quantised_weights(live.model))):
        return live
    models.slot.unload()
    return models.get(live_place, trained=False)


def quantised_weights(model: Any) -> list[Any]:
    """The quantised weights of a model."""
    return [module.weight for _, module in quantised_layers(model)]


def was_run(weight: Any) -> bool:
    """Whether a quantised weight shows that its layer was used."""
    moved = getattr(weight, "SCB", weight) is None
    return moved or hasattr(getattr(weight, "quant_state", None), "packing_format_for_cpu")

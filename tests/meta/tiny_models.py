"""A tiny model in Llama architecture with random values, as a checkpoint and in memory."""

import weakref
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.harness.live import Live, from_pretrained, quantization_config
from tests.harness.measuring import observing
from tests.harness.memory import Load
from tests.harness.models import Model, registry
from tests.harness.weights import Weights

SIZES = {
    "hidden_size": 128,
    "intermediate_size": 256,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "num_hidden_layers": 2,
    "vocab_size": 512,
    **dict.fromkeys(("bos_token_id", "eos_token_id"), 1),
}

Fault = Callable[[Any], None]


def tiny() -> Model:
    """Llama-3.1's architecture with two narrow layers; widths are multiples of 32, as
    bitsandbytes' CPU kernels want them.
    """
    model = registry()["llama3_1"]
    return replace(model, architecture=model.architecture | SIZES, weights={})


def no_fault(model: Any) -> None:
    """Leave the model as it is."""


def in_memory(
    folder: Path, load: Load, config: Any = None, fault: Fault = no_fault
) -> tuple[Live, Any]:
    """The tiny checkpoint loaded for real, by the task's configuration or a faulty one.

    `fault` changes the loaded model before it is measured. The second value keeps it alive.
    """
    weights = Weights("directory", folder, False, "random weights")
    with observing("cpu") as seen:
        model, info = from_pretrained(folder, "cpu", config or quantization_config(load))
        fault(model)
    measured = seen.of(model, info)
    live = Live(tiny(), "cpu", load, weights, None, measured, weakref.ref(model))
    return live, model

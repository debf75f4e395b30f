"""Models in memory: loaded as the task does, one at a time, and really given back."""

import weakref
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import device as devices
from .measuring import Measured, observing
from .memory import Load, footprint, quant_state_bytes
from .models import Device, Model
from .watching import drop_declared
from .weights import Weights

GB = 1e9
# What a load needs beside the model itself: a tensor on its way, kernels, torch's rounding.
HEADROOM = 2_000_000_000


class LoadError(RuntimeError):
    """A model cannot be loaded; the message is one line."""


@dataclass(frozen=True)
class Live:
    """A loaded model. It holds no strong reference, so that no failed test keeps it alive."""

    facts: Model
    device: Device
    load: Load
    weights: Weights
    tokenizer: Any  # transformers' tokenizer, pad token = eos token, padding right
    measured: Measured
    reference: "weakref.ref[Any]" = field(repr=False)

    @property
    def model(self) -> Any:
        """The transformers model, as a proxy; RuntimeError once it was unloaded."""
        model = self.reference()
        if model is None:
            raise RuntimeError(f"{self.name} was unloaded: ask the fixture `live` for it")
        return weakref.proxy(model)

    @property
    def key(self) -> str:
        """The model's key in the registry."""
        return self.facts.key

    @property
    def name(self) -> str:
        """`smollm2-cpu-nf4`, as in test ids."""
        return f"{self.key}-{self.device}-{self.load}"

    @property
    def title(self) -> str:
        """How a failure's first line begins: model, device, load and which weights."""
        return f"{self.key}: {self.device} {self.load}, {self.weights.note}"


@dataclass
class Slot:
    """Holds the one model that is in memory, by the only strong reference."""

    live: Live | None = None
    model: Any = None

    def unload(self) -> None:
        """Free the model's memory now."""
        if self.live is None:
            return
        device, self.live = self.live.device, None
        model, self.model = self.model, None
        if device not in devices.GIVEN_UP:
            devices.release(model)
        del model
        devices.collect(device)

    def put(self, facts: Model, device: Device, load: Load, weights: Weights, tok: Any) -> Live:
        """Load this model in the place of the one before; raises as `loaded` does."""
        self.unload()
        self.model, measured = loaded(facts, device, load, weights)
        self.model.generation_config.pad_token_id = tok.eos_token_id
        reference = weakref.ref(self.model)
        self.live = Live(facts, device, load, weights, tok, measured, reference)
        return self.live


def quantization_config(load: Load) -> Any:
    """The task's configuration; None for bf16."""
    import torch
    from transformers import BitsAndBytesConfig

    if load == "bf16":
        return None
    if load == "int8":
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
        bnb_4bit_quant_type="nf4",
    )


def from_pretrained(folder: Path, device: Device, config: Any) -> tuple[Any, dict[str, Any]]:
    """The model and its loading info, by the call the task makes; nothing may ask or run code."""
    import torch
    from transformers import AutoModelForCausalLM

    drop_declared()
    # None given by name would overrule the configuration that a saved 4-bit checkpoint holds.
    asked = {} if config is None else {"quantization_config": config}
    model, info = AutoModelForCausalLM.from_pretrained(
        str(folder),
        **asked,
        dtype=torch.bfloat16,
        device_map={"": "cpu" if device == "cpu" else 0},
        trust_remote_code=False,
        use_safetensors=True,
        local_files_only=True,
        output_loading_info=True,
    )
    return model, info


def loaded(facts: Model, device: Device, load: Load, weights: Weights) -> tuple[Any, Measured]:
    """Load and measure; LoadError if there is too little memory.

    Out-of-memory and other errors of the libraries pass through as they are.
    """
    devices.collect(device)
    need, free = bytes_needed(facts, load), devices.free_bytes(device)
    if free < need:
        raise LoadError(
            f"{facts.key}: {device} {load} needs {need / GB:.1f} GB, and {free / GB:.1f} GB are "
            "free: end what else runs there"
        )
    with observing(device) as seen:
        model, info = from_pretrained(weights.folder, device, quantization_config(load))
    return model, seen.of(model, info)


def bytes_needed(facts: Model, load: Load) -> int:
    """What must be free before a load: the model, and the headroom (less for small models)."""
    states = quant_state_bytes(facts) if load == "nf4" else 0
    whole = footprint(facts, "bf16").total
    return footprint(facts, load).total + states + min(HEADROOM, whole)


def prepared_tokenizer(folder: Path) -> Any:
    """The folder's tokenizer as the task sets it: pad token = eos token, padding right."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(str(folder), trust_remote_code=False)
    tokenizer.pad_token = tokenizer.eos_token
    tokenizer.padding_side = "right"
    return tokenizer

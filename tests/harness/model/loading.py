"""Models in memory: loaded as the task does, one at a time, and freed when unloaded."""

import weakref
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from packaging.version import Version

from ..data.registry import Device, Model
from ..errors import LoadError
from ..memory.footprint import GB, Load, bytes_needed
from ..sources.weights import Weights
from . import device as devices
from .measurement import Measurement, measure_load
from .messages import drop_declared


@dataclass(frozen=True)
class LoadedModel:
    """A loaded model. It holds no strong reference, so that no failed test keeps it alive."""

    spec: Model
    device: Device
    load: Load
    weights: Weights
    tokenizer: Any  # transformers' tokenizer, pad token = eos token, padding right
    measured: Measurement
    reference: "weakref.ref[Any]" = field(repr=False)

    @property
    def model(self) -> Any:
        """The transformers model, as a proxy; RuntimeError once it was unloaded."""
        model = self.reference()
        if model is None:
            raise RuntimeError(f"{self.name} was unloaded: ask the fixture `loaded_model` for it")
        return weakref.proxy(model)

    @property
    def key(self) -> str:
        """The model's key in the registry."""
        return self.spec.key

    @property
    def placement(self) -> tuple[str, Device, Load]:
        """Model key, device and load: what a test is parametrized with to get this model."""
        return self.key, self.device, self.load

    @property
    def name(self) -> str:
        """`smollm2-cpu-nf4`, as in test ids."""
        return f"{self.key}-{self.device}-{self.load}"

    @property
    def label(self) -> str:
        """How a failure's first line begins: model, device, load and which weights."""
        return f"{self.key}: {self.device} {self.load}, {self.weights.note}"


@dataclass
class ModelSlot:
    """Holds the one model that is in memory, by the only strong reference."""

    loaded_model: LoadedModel | None = None
    model: Any = None

    def unload(self) -> None:
        """Free the model's memory now."""
        if self.loaded_model is None:
            return
        device, self.loaded_model = self.loaded_model.device, None
        model, self.model = self.model, None
        if device not in devices.UNUSABLE_DEVICES:
            devices.release(model)
        del model
        devices.collect(device)

    def load(
        self, spec: Model, device: Device, load: Load, weights: Weights, tokenizer: Any
    ) -> LoadedModel:
        """Replace the model in memory by this one; LoadError if there is too little memory.

        Out-of-memory and other errors of the libraries pass through as they are.
        """
        self.unload()
        if device != "cpu":
            devices.keep_freed_memory()
        self.model, measured = _load_and_measure(spec, device, load, weights)
        self.model.generation_config.pad_token_id = tokenizer.eos_token_id
        self.loaded_model = LoadedModel(
            spec, device, load, weights, tokenizer, measured, weakref.ref(self.model)
        )
        return self.loaded_model


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


def _dtype_argument(version: str) -> str:
    """Its name in this version of transformers."""
    return "dtype" if Version(version) >= Version("4.56") else "torch_dtype"


def from_pretrained(
    folder: Path, device: Device, config: Any, **changes: Any
) -> tuple[Any, dict[str, Any]]:
    """The model and its loading info, by the task's own call; no remote code, no network.

    `changes` overrule entries of config.json.
    """
    import torch
    import transformers
    from transformers import AutoModelForCausalLM

    drop_declared()
    # None given by name would overrule the configuration that a saved 4-bit checkpoint holds.
    given = {} if config is None else {"quantization_config": config}
    given[_dtype_argument(transformers.__version__)] = torch.bfloat16
    model, info = AutoModelForCausalLM.from_pretrained(
        str(folder),
        **given,
        device_map={"": "cpu" if device == "cpu" else 0},
        trust_remote_code=False,
        use_safetensors=True,
        local_files_only=True,
        output_loading_info=True,
        **changes,
    )
    return model, info


def _load_and_measure(
    spec: Model, device: Device, load: Load, weights: Weights
) -> tuple[Any, Measurement]:
    devices.collect(device)
    need, free = bytes_needed(spec, load), devices.free_bytes(device)
    if free < need:
        raise LoadError(
            f"{spec.key}: {device} {load} needs {need / GB:.1f} GB, and {free / GB:.1f} GB are "
            "free: end what else runs there"
        )
    config = quantization_config(load)
    return measure_load(device, lambda: from_pretrained(weights.folder, device, config))


def prepared_tokenizer(folder: Path) -> Any:
    """The folder's tokenizer as the task sets it: pad token = eos token, padding right."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(str(folder), trust_remote_code=False)
    tokenizer.pad_token = tokenizer.eos_token
    tokenizer.padding_side = "right"
    return tokenizer

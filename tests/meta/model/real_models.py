"""Real models for the memory arithmetic: of full size without memory, and small ones with it.

The six models are built on the meta device, which allocates nothing: transformers' own quantizer
swaps the layers, and bitsandbytes quantizes the meta weights with the shape functions it registers
for its operators. Small models, saved, loaded and quantized, prove that the sizes are right.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

from tests.harness.data.registry import Model, registry
from tests.harness.memory.footprint import Load
from tests.harness.sources.checkpoints import random_model

# Odd on purpose: most weights fill neither whole blocks (64) nor whole nested blocks (256).
SMALL = {
    "hidden_size": 90,
    "intermediate_size": 211,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "num_hidden_layers": 2,
    "vocab_size": 301,
    **dict.fromkeys(("bos_token_id", "eos_token_id", "pad_token_id"), 0),
}


def small(key: str) -> Model:
    """The model with its own architecture but few and narrow layers."""
    model = registry()[key]
    return replace(model, architecture=model.architecture | SMALL)


def quantization(load: Load, double_quant: bool = True, skip: list[str] | None = None) -> Any:
    """The task's configuration; `skip` replaces transformers' own list of layers left alone."""
    import torch
    from transformers import BitsAndBytesConfig

    if load == "int8":
        return BitsAndBytesConfig(load_in_8bit=True, llm_int8_skip_modules=skip)
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_use_double_quant=double_quant,
        bnb_4bit_compute_dtype=torch.bfloat16,
        bnb_4bit_quant_type="nf4",
        llm_int8_skip_modules=skip,
    )


def on_meta(model: Model, load: Load, **options: Any) -> Any:
    """The model on the meta device, quantized unless in bf16; options of `quantization`."""
    import torch
    from bitsandbytes import functional
    from transformers.quantizers.auto import AutoHfQuantizer

    built = random_model(model, "meta")
    if load == "bf16":
        return built
    quantizer = AutoHfQuantizer.from_config(quantization(load, **options))
    quantizer.preprocess_model(model=built, device_map=None)
    # bitsandbytes keeps this table for the process: one on meta would break all later loads.
    with patch.dict(functional.name2qmap, dynamic=functional.create_dynamic_map().to("meta")):
        for layer in quantized_layers(built):
            for parameter in layer.parameters():
                # The swapped layers are fp32; loading puts the checkpoint's bf16 into them.
                parameter.data = parameter.data.to(torch.bfloat16)
            layer.weight = layer.weight._quantize("meta")
    return built


def loaded(folder: Path, load: Load, **options: Any) -> Any:
    """The saved model, loaded as a user does, on the CPU."""
    import torch
    from transformers import AutoModelForCausalLM

    config = None if load == "bf16" else quantization(load, **options)
    return AutoModelForCausalLM.from_pretrained(
        folder, quantization_config=config, dtype=torch.bfloat16
    )


def quantized_layers(model: Any) -> list[Any]:
    """The layers whose weight is quantized, or is to be."""
    from bitsandbytes.nn import Int8Params, Params4bit

    kinds = (Int8Params, Params4bit)
    return [m for m in model.modules() if isinstance(getattr(m, "weight", None), kinds)]


def size(tensors: Iterable[Any]) -> int:
    """Bytes of the tensors; one that comes twice counts once."""
    unique = {id(tensor): tensor for tensor in tensors}
    return sum(tensor.numel() * tensor.element_size() for tensor in unique.values())


def measured_by_kind(model: Any) -> dict[str, Any]:
    """The fields of `Footprint`, added up over a real model's parameters and buffers."""
    quantized = {id(layer.weight) for layer in quantized_layers(model)}
    embedding = model.get_input_embeddings().weight
    kinds = dict.fromkeys(("quantized_linears", "kept_linears", "embedding", "norms", "biases"), 0)
    for name, tensor in model.named_parameters():
        if name.endswith(".bias"):
            kind = "biases"
        elif tensor is embedding:
            kind = "embedding"
        elif id(tensor) in quantized:
            kind = "quantized_linears"
        else:
            kind = "norms" if "norm" in name else "kept_linears"
        kinds[kind] += size([tensor])
    return kinds | {"buffers": {name: size([tensor]) for name, tensor in model.named_buffers()}}


def quant_state_tensors(model: Any) -> Iterator[Any]:
    """All tensors of the model's quant_states."""
    for layer in quantized_layers(model):
        state = layer.weight.quant_state
        yield from (state.absmax, state.code)
        if state.nested:
            yield from (state.offset, state.state2.absmax, state.state2.code)

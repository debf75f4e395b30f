"""Narrow models of exactly a registry's architecture, with weights in which nothing is neutral."""

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..memory.architecture import head_size, layer_linears
from ..model.messages import capture_messages
from .spec import ForwardSpec, read_spec
from .weights import Weights, read_weights

_VOCABULARY, _INNER, _LAYERS = 1024, 512, 2
_SPECIAL = (0, 1, 2)  # pad, BOS and EOS
_WIDTH = 32  # hidden dimensions for each head
_WINDOW = 64  # below the length of the prompts
_SEED = 42
_PEAKED = 1.5  # of queries and keys, so that attention prefers some tokens
# Some tokens are as small as the root of a published epsilon (1e-6 to 1e-5), and what layers add
# is small, so that every norm shows its epsilon.
_SMALLEST, _ADDED = 0.003, 0.1


def narrow(architecture: Mapping[str, Any]) -> dict[str, Any]:
    """The architecture with few layers, heads and tokens.

    Heads have their real size, positions their real settings, and as many queries share a key as
    in the real model, of which there are two at least.
    """
    queries, keys = architecture["num_attention_heads"], architecture["num_key_value_heads"]
    heads = 2 * queries // keys
    changed = {
        "hidden_size": _WIDTH * heads,
        "intermediate_size": _INNER,
        "num_hidden_layers": _LAYERS,
        "num_attention_heads": heads,
        "num_key_value_heads": 2,
        "head_dim": head_size(architecture),
        "vocab_size": _VOCABULARY,
        "bos_token_id": _SPECIAL[1],
        "eos_token_id": _SPECIAL[2],
        "torch_dtype": "float32",
    }
    if "pad_token_id" in architecture:
        changed["pad_token_id"] = _SPECIAL[0]
    if "sliding_window" in architecture:
        changed["sliding_window"] = _WINDOW
    return {**architecture, **changed}


@dataclass(frozen=True)
class NarrowModel:
    """A narrow model in memory, on the CPU in float32."""

    spec: ForwardSpec
    weights: Weights
    model: Any  # transformers'


def load_narrow(architecture: Mapping[str, Any]) -> NarrowModel:
    """Write a checkpoint of the narrowed architecture, and load it as any other."""
    import torch
    from safetensors.torch import save_file
    from transformers import AutoModelForCausalLM

    config = narrow(architecture)
    tensors = _tensors(config)
    with tempfile.TemporaryDirectory() as name, capture_messages():
        folder = Path(name)
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
        (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
        model = AutoModelForCausalLM.from_pretrained(
            name, dtype=torch.float32, trust_remote_code=False, local_files_only=True
        )
        spec, weights = read_spec(config), read_weights(model, folder, "cpu")
        for tensor in tensors:
            weights.tensor(tensor)  # read now: the folder goes
    return NarrowModel(spec, weights, model)


def _tensors(config: Mapping[str, Any]) -> dict[str, Any]:
    """All weights by their names in published checkpoints; norms and biases are random, too."""
    import torch

    generator, spec = torch.Generator().manual_seed(_SEED), read_spec(config)
    hidden = spec.hidden

    def draw(*shape: int, spread: float = 1.0, middle: float = 0.0) -> Any:
        return torch.randn(shape, generator=generator) * spread + middle

    sizes = _SMALLEST ** torch.rand((_VOCABULARY, 1), generator=generator)
    tensors = {"model.embed_tokens.weight": draw(_VOCABULARY, hidden) * sizes}
    norms = ["model.norm"]
    for number in range(_LAYERS):
        layer = f"model.layers.{number}"
        norms += [f"{layer}.input_layernorm", f"{layer}.post_attention_layernorm"]
        for linear in layer_linears(config):
            name = f"{layer}.{linear.path}"
            size = _ADDED if linear.name in _LAST else 1
            spread = linear.columns**-0.5 * (_PEAKED if linear.name in _SCORED else size)
            tensors[f"{name}.weight"] = draw(linear.rows, linear.columns, spread=spread)
            if linear.bias:
                tensors[f"{name}.bias"] = draw(linear.rows, spread=0.3 * size)
    for norm in norms:
        tensors[f"{norm}.weight"] = draw(hidden, spread=0.3, middle=1)
        if spec.norm == "layer":
            tensors[f"{norm}.bias"] = draw(hidden, spread=0.3)
    if not spec.tied:
        tensors["lm_head.weight"] = draw(_VOCABULARY, hidden, spread=hidden**-0.5)
    return tensors


_SCORED = ("q_proj", "k_proj", "qkv_proj")
_LAST = ("o_proj", "down_proj", "c_proj")


def narrow_prompts(count: int, tokens: int) -> list[list[int]]:
    """Random ids: `count` prompts, the first of this many tokens and each a tenth shorter.

    Each holds the special tokens, the pad as well, which must be read as any other.
    """
    import torch

    generator = torch.Generator().manual_seed(_SEED)
    lengths = [tokens - number * (tokens // 10) for number in range(count)]
    drawn = [torch.randint(3, _VOCABULARY, (length,), generator=generator) for length in lengths]
    return [[*ids[:9].tolist(), *_SPECIAL, *ids[9 + len(_SPECIAL) :].tolist()] for ids in drawn]

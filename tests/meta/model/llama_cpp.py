"""llama.cpp as a second witness of a forward pass: an implementation by other people, in process.

Its files (GGUF) name and order weights in ways of their own. Attention of Llama and its kin turns
neighbouring dimensions there, so their rows of queries and keys are reordered.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock, patch

_NEVER = -1e30  # a weight that no softmax sees


@dataclass(frozen=True)
class Family:
    """How llama.cpp calls a `model_type`, and what is special in its files."""

    architecture: str
    in_neighbours: bool = False  # rotary pairs are neighbours
    windowed: bool = False  # its attention has a window, of all layers


def write_model(
    target: Path, family: Family, config: Mapping[str, Any], tensors: Mapping[str, Any]
) -> None:
    """Write a model as GGUF: `config` as in config.json, tensors by their published names."""
    from gguf import MODEL_ARCH, MODEL_ARCH_NAMES, GGUFWriter, get_tensor_name_map

    writer = GGUFWriter(target, family.architecture)
    heads, layers = config["num_attention_heads"], config["num_hidden_layers"]
    _add_constants(writer, config)
    _add_vocabulary(writer, config["vocab_size"])
    known = {name: number for number, name in MODEL_ARCH_NAMES.items()}
    kind = known.get(family.architecture, MODEL_ARCH.LLAMA)
    names = get_tensor_name_map(kind, layers)
    rows = {"q_proj": heads, "k_proj": config["num_key_value_heads"]}
    for name, tensor in tensors.items():
        part = name.split(".")[-2]
        if family.in_neighbours and part in rows:
            halves = tensor.unflatten(0, (rows[part], 2, -1))
            tensor = halves.transpose(1, 2).reshape(tensor.shape).contiguous()
        writer.add_tensor(names.get_name(name, (".weight", ".bias")), tensor.numpy())
    if config.get("rope_scaling"):
        writer.add_tensor("rope_freqs.weight", _metas_divisors(config))
    if family.windowed:
        _add_windows(writer, config)
    _finish(writer)


def _add_constants(writer: Any, config: Mapping[str, Any]) -> None:
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_key_length(config["head_dim"])
    writer.add_value_length(config["head_dim"])
    writer.add_rope_dimension_count(config["head_dim"])
    writer.add_rope_freq_base(config["rope_theta"])
    if "rms_norm_eps" in config:
        writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    else:
        writer.add_layer_norm_eps(config["norm_epsilon"])


def _add_vocabulary(writer: Any, size: int) -> None:
    """Tokens that nobody reads: prompts are ids."""
    writer.add_vocab_size(size)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list([f"t{number}" for number in range(size)])
    writer.add_token_types([1] * size)
    writer.add_token_merges(["t 0"])


def _add_windows(writer: Any, config: Mapping[str, Any]) -> None:
    """Granite's keys: it is Llama with factors, here 1, and with sinks, here never seen."""
    import numpy

    layers, heads = config["num_hidden_layers"], config["num_attention_heads"]
    writer.add_logit_scale(1.0)
    writer.add_sliding_window(config["sliding_window"])
    writer.add_array(f"{writer.arch}.attention.sliding_window_pattern", [True] * layers)
    for number in range(layers):
        sinks = numpy.full(heads, _NEVER, numpy.float32)
        writer.add_tensor(f"blk.{number}.attn_sinks.weight", sinks)


def _metas_divisors(config: Mapping[str, Any]) -> Any:
    """What Llama-3 divides each rotary frequency by, from Meta's own code and its constants."""
    import torch

    parallel = "fairscale.nn.model_parallel"  # spreads layers over GPUs; is not installed
    absent = ("fairscale", "fairscale.nn", parallel, f"{parallel}.initialize", f"{parallel}.layers")
    with patch.dict(sys.modules, {name: MagicMock() for name in absent}):
        from llama_models.llama3.model import apply_scaling

    exponents = torch.arange(0, config["head_dim"], 2).double() / config["head_dim"]
    frequencies = config["rope_theta"] ** -exponents
    return (frequencies / apply_scaling(frequencies)).float().numpy()


def _finish(writer: Any) -> None:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()

"""A package's GGUF as a checkpoint of the hub's kind: bf16, its names, its order of rows."""

from pathlib import Path
from typing import Any

from .layers import head_size


def save(tensors: dict[str, Any], path: Path) -> None:
    """One safetensors file; the format note is what transformers asks for."""
    from safetensors.torch import save_file

    save_file(tensors, path, metadata={"format": "pt"})


def dequantised(gguf: Path, config: dict[str, Any]) -> dict[str, Any]:
    """A Llama GGUF's tensors in bf16 under the names and in the row order of transformers."""
    import numpy
    import torch
    from gguf import GGUFReader
    from gguf.quants import dequantize

    heads = {"attn_q": config["num_attention_heads"], "attn_k": config["num_key_value_heads"]}
    tensors = {}
    for tensor in GGUFReader(gguf).tensors:
        value = torch.from_numpy(numpy.array(dequantize(tensor.data, tensor.tensor_type)))
        part = tensor.name.split(".")[-2]
        if part in heads:
            # llama.cpp rotates neighbouring rows, transformers the two halves of a head.
            pairs = value.reshape(heads[part], head_size(config) // 2, 2, -1)
            value = pairs.transpose(1, 2).reshape(value.shape)
        tensors[hub_name(tensor.name)] = value.to(torch.bfloat16).contiguous()
    return tensors


NAMES = {
    "token_embd": "model.embed_tokens",
    "output_norm": "model.norm",
    "output": "lm_head",
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


def hub_name(name: str) -> str:
    """`blk.3.attn_q.weight` as transformers calls it; KeyError for a tensor Llama has not."""
    *block, part, kind = name.split(".")
    layer = f"model.layers.{block[1]}." if block else ""
    return f"{layer}{NAMES[part]}.{kind}"

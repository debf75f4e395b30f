"""GGUF files of packages: vocabulary, chat template, and weights dequantized to bf16."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..memory.architecture import head_size

_NAMES = {
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


@dataclass(frozen=True)
class Vocabulary:
    """`tokens[i]` is the token of id i; `merges` are "left right" strings in rank order."""

    tokens: tuple[str, ...]
    merges: tuple[str, ...]
    template: str | None


def read_gguf(path: Path, size: int) -> Vocabulary:
    """Read the first `size` tokens of a GGUF file.

    The files are padded to the embedding's rows, hence `size`. SentencePiece vocabularies carry
    scores in place of merges.
    """
    from gguf import GGUFReader

    fields: dict[str, Any] = dict(GGUFReader(path).fields)

    tokens = fields["tokenizer.ggml.tokens"].contents(slice(size))
    template = fields.get("tokenizer.chat_template")
    if "tokenizer.ggml.merges" in fields:
        merges = fields["tokenizer.ggml.merges"].contents()
    else:
        scores = fields["tokenizer.ggml.scores"].contents(slice(size))
        merges = _merges_from_scores(tokens, scores)
    return Vocabulary(tuple(tokens), tuple(merges), template.contents() if template else None)


def _merges_from_scores(tokens: list[str], scores: list[float]) -> list[str]:
    """The BPE merges that rebuild a SentencePiece vocabulary.

    Every split of a token into two known tokens is a merge; the better the token's score, the
    earlier. Ties keep id order, first of the token, then of its two halves: the order of the
    published Phi-3 file.
    """
    ids = {token: index for index, token in enumerate(tokens)}
    ranked: list[tuple[float, str]] = []
    for token, score in zip(tokens, scores, strict=True):
        halves = ((token[:cut], token[cut:]) for cut in range(1, len(token)))
        known = [(ids[left], ids[right]) for left, right in halves if left in ids and right in ids]
        ranked += [(score, f"{tokens[left]} {tokens[right]}") for left, right in sorted(known)]
    ranked.sort(key=lambda merge: merge[0], reverse=True)
    return [merge for _, merge in ranked]


def dequantized(gguf: Path, config: dict[str, Any]) -> dict[str, Any]:
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
        tensors[_hub_name(tensor.name)] = value.to(torch.bfloat16).contiguous()
    return tensors


def _hub_name(name: str) -> str:
    """`blk.3.attn_q.weight` as transformers names it; KeyError if Llama has no such tensor."""
    *block, part, kind = name.split(".")
    layer = f"model.layers.{block[1]}." if block else ""
    return f"{layer}{_NAMES[part]}.{kind}"

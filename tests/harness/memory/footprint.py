"""A model's memory in bytes, computed from its config.json, and what explains a difference."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations_with_replacement
from typing import Literal

from ..data.registry import Model
from .architecture import layer_linears, rotary_frequencies

Load = Literal["nf4", "int8", "bf16"]

LOADS: tuple[Load, ...] = ("nf4", "int8", "bf16")
BF16, FP32 = 2, 4  # bytes of a value
BLOCK, NESTED_BLOCK = 64, 256  # weights of one absmax; absmax values of one nested absmax
GB = 1e9
_HEADROOM = 2_000_000_000  # what a load needs beside the model: tensors on their way, kernels


@dataclass(frozen=True)
class Footprint:
    """Bytes by kind, as `get_memory_footprint` counts them: parameters and buffers, once each.

    What is neither is not counted: the quant_state of NF4, the row scales of int8.
    """

    quantized_linears: int
    kept_linears: int  # in bf16: the head unless it is tied; with bf16 all the others too
    embedding: int
    norms: int  # weights; LayerNorm's biases are among the biases
    biases: int
    buffers: Mapping[str, int]  # by name

    @property
    def parameters(self) -> int:
        """All but the buffers: `get_memory_footprint(return_buffers=False)`."""
        linears = self.quantized_linears + self.kept_linears
        return linears + self.embedding + self.norms + self.biases

    @property
    def total(self) -> int:
        """What `get_memory_footprint()` returns."""
        return self.parameters + sum(self.buffers.values())


def weight_bytes(weights: int, load: Load) -> int:
    """Bytes of one layer's weights, of which there are `weights`; NF4 packs two into a byte."""
    return {"nf4": (weights + 1) // 2, "int8": weights, "bf16": BF16 * weights}[load]


def footprint(model: Model, load: Load) -> Footprint:
    """Bytes of the model as transformers loads it: all quantized but head and embedding.

    A tied head is the embedding and counts once. Biases and norms stay in bf16. Rotary
    frequencies are fp32 and, from transformers 5 on, registered twice.
    """
    config = model.architecture
    linears, layers = layer_linears(config), config["num_hidden_layers"]
    embedding = BF16 * config["vocab_size"] * config["hidden_size"]
    head = 0 if config["tie_word_embeddings"] else embedding
    body = layers * sum(weight_bytes(linear.weights, load) for linear in linears)
    norms = BF16 * config["hidden_size"] * (2 * layers + 1)
    biases = BF16 * layers * sum(linear.rows for linear in linears if linear.bias)
    names = ("model.rotary_emb.inv_freq", "model.rotary_emb.original_inv_freq")
    return Footprint(
        quantized_linears=0 if load == "bf16" else body,
        kept_linears=head + (body if load == "bf16" else 0),
        embedding=embedding,
        norms=norms,
        biases=biases + (norms if config["model_type"] == "starcoder2" else 0),
        buffers=dict.fromkeys(names, FP32 * rotary_frequencies(config)),
    )


def layer_state_bytes(weights: int, blocksize: int = BLOCK, double_quant: bool = True) -> int:
    """Bytes of the NF4 quant_state of one linear layer of so many weights.

    An absmax for each `blocksize` weights (fp32; with double quantization uint8, plus an fp32 for
    each 256 of them, their mean and a code table of 256 fp32), and NF4's code table of 16 fp32.
    Each layer has its own tables. Source: `QuantState` of bitsandbytes 0.50.2.
    """
    blocks = -(-weights // blocksize)
    nested = -(-blocks // NESTED_BLOCK) + 1 + 256
    return (blocks + FP32 * nested if double_quant else FP32 * blocks) + FP32 * 16


def quant_state_bytes(model: Model, blocksize: int = BLOCK, double_quant: bool = True) -> int:
    """Bytes of all NF4 quant_states, which the footprint does not see."""
    linears = layer_linears(model.architecture)
    layer = sum(layer_state_bytes(linear.weights, blocksize, double_quant) for linear in linears)
    return layer * int(model.architecture["num_hidden_layers"])


def causes(model: Model, load: Load) -> dict[str, int]:
    """Bytes by which each known fault of a loaded model changes the footprint."""
    config, right = model.architecture, footprint(model, load)
    embedding, row = right.embedding, BF16 * config["hidden_size"]
    frequencies = next(iter(right.buffers.values()))
    sizes: dict[str, int] = {}
    for linear in layer_linears(config):
        gain = weight_bytes(linear.weights, "bf16") - weight_bytes(linear.weights, load)
        sizes[f"one {linear.name} not quantized"] = gain
        sizes[f"every {linear.name} not quantized"] = gain * config["num_hidden_layers"]
    if config["tie_word_embeddings"]:
        sizes["head not tied to the embedding"] = embedding
    else:
        sizes["head quantized"] = weight_bytes(embedding // BF16, load) - embedding
        sizes["head in fp32"] = embedding
        sizes["embedding and head in fp32"] = 2 * embedding
        sizes["a row added to the head"] = row
        sizes["a row added to embedding and head"] = 2 * row
    return sizes | {
        "a row added to the embedding": row,
        "embedding in fp32": embedding,
        "norms in fp32": right.norms,
        "biases in fp32": right.biases,
        "biases missing": -right.biases,
        "all that is not quantized in fp32": right.parameters - right.quantized_linears,
        "a rotary buffer missing": -frequencies,
        "a rotary buffer too many": frequencies,
        **{f"loaded as {other}": footprint(model, other).total - right.total for other in LOADS},
    }


def explain(difference: int, model: Model, load: Load) -> str:
    """What explains a footprint of `difference` bytes more than expected (less, if negative).

    One to three causes, the fewest that fit to the byte; causes of one size (a q_proj and an
    o_proj) cannot be told apart and are named with "or". "unexplained" if none fit.
    """
    if not difference:
        return "no difference"
    names: dict[int, str] = {}
    for name, size in causes(model, load).items():
        names[size] = f"{names[size]} or {name}" if size in names else name
    names.pop(0, None)
    if difference in names:
        return f"{difference:+,} B = {names[difference]}"
    for number in (2, 3):
        fits = [
            " + ".join(f"{n} x ({names[size]})" for size, n in Counter(sizes).items())
            for sizes in combinations_with_replacement(names, number)
            if sum(sizes) == difference
        ]
        if fits:
            return f"{difference:+,} B = {', or '.join(fits)}"
    return f"{difference:+,} B: unexplained"


def bytes_needed(facts: Model, load: Load) -> int:
    """Bytes that must be free before a load: the model, and headroom (less for small models)."""
    states = quant_state_bytes(facts) if load == "nf4" else 0
    bf16 = footprint(facts, "bf16").total
    return footprint(facts, load).total + states + min(_HEADROOM, bf16)

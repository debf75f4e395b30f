"""What a forward pass is made of, from a registry's architecture: constants and layer names."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ..memory.architecture import head_size, layer_linears

Activation = Literal["silu", "gelu", "gelu_pytorch_tanh"]


@dataclass(frozen=True)
class Rotary:
    """Rotary positions: their base, and Llama-3's scaling of slow frequencies (None: none)."""

    base: float
    size: int  # dimensions of a head that are rotated
    scaling: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class ForwardSpec:
    """All that a forward pass needs to know beside its weights."""

    layers: int
    hidden: int
    heads: int
    key_heads: int  # keys and values may have fewer heads than queries
    head_size: int
    inner: int  # width of the MLP
    context: int  # positions the model was made for
    rotary: Rotary
    norm: Literal["rms", "layer"]
    epsilon: float
    activation: Activation
    gated: bool  # the MLP multiplies by a gate
    fused: bool  # q, k and v are one weight, gate and up another
    window: int | None  # how many tokens attention sees, its own included; None: all
    tied: bool  # the head is the embedding
    biased: frozenset[str]  # the linear layers that have one

    @property
    def scale(self) -> float:
        """What products of queries and keys are multiplied by."""
        return float(self.head_size**-0.5)


def read_spec(architecture: Mapping[str, Any]) -> ForwardSpec:
    """The spec of a config.json as the registry holds it; never of a loaded model.

    Sources: Llama 2 and 3 (arXiv 2307.09288, 2407.21783), Phi-3 (2404.14219), Qwen2 (2407.10671),
    StarCoder2 (2402.19173). KeyError or ValueError for an architecture that is not known.
    """
    family, size = architecture["model_type"], head_size(architecture)
    windowed = architecture.get("use_sliding_window", family != "llama")
    norm: Literal["rms", "layer"] = "layer" if family == "starcoder2" else "rms"
    return ForwardSpec(
        layers=architecture["num_hidden_layers"],
        hidden=architecture["hidden_size"],
        heads=architecture["num_attention_heads"],
        key_heads=architecture["num_key_value_heads"],
        head_size=size,
        inner=architecture["intermediate_size"],
        context=architecture["max_position_embeddings"],
        rotary=_rotary(architecture, size),
        norm=norm,
        epsilon=architecture["norm_epsilon" if norm == "layer" else "rms_norm_eps"],
        activation=architecture["hidden_act"],
        gated=family != "starcoder2",
        fused=family == "phi3",
        window=architecture.get("sliding_window") if windowed else None,
        tied=architecture["tie_word_embeddings"],
        biased=frozenset(linear.name for linear in layer_linears(architecture) if linear.bias),
    )


def _rotary(architecture: Mapping[str, Any], size: int) -> Rotary:
    scaling = architecture.get("rope_scaling")
    if scaling is not None and scaling["rope_type"] != "llama3":
        raise ValueError(f"rope_type {scaling['rope_type']!r} is not known (allowed: llama3)")
    rotated = int(size * architecture.get("partial_rotary_factor", 1.0))
    return Rotary(float(architecture["rope_theta"]), rotated, scaling)

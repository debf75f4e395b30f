"""The layers of a model: their names and shapes, from its config.json alone."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Config = Mapping[str, Any]
_ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj", "qkv_proj")
FAMILIES = ("llama", "phi3", "qwen2", "starcoder2")  # the values of `model_type` that are known


@dataclass(frozen=True)
class Linear:
    """A linear layer that every transformer layer holds once; its weight is (rows, columns)."""

    name: str
    rows: int
    columns: int
    bias: bool = False

    @property
    def weights(self) -> int:
        """Number of weights, bias excluded."""
        return self.rows * self.columns

    @property
    def path(self) -> str:
        """Its name within the transformer layer: `self_attn.q_proj`."""
        return f"{'self_attn' if self.name in _ATTENTION else 'mlp'}.{self.name}"


def head_size(config: Config) -> int:
    """The width of one attention head."""
    return int(config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"])


def rotary_frequencies(config: Config) -> int:
    """How many rotary frequencies there are: one for each pair of a head's rotated dimensions."""
    return int(head_size(config) * config.get("partial_rotary_factor", 1.0)) // 2


def layer_linears(config: Config) -> tuple[Linear, ...]:
    """The linear layers of one transformer layer.

    Source: the modelling code of transformers 5.23. ValueError for an unknown `model_type`.
    """
    hidden, inner, width = config["hidden_size"], config["intermediate_size"], head_size(config)
    # Keys and values may have fewer heads than queries.
    query, value = config["num_attention_heads"] * width, config["num_key_value_heads"] * width
    match config["model_type"]:
        case "phi3":  # q, k and v are one weight, gate and up another; no biases
            return (
                Linear("qkv_proj", query + 2 * value, hidden),
                Linear("o_proj", hidden, query),
                Linear("gate_up_proj", 2 * inner, hidden),
                Linear("down_proj", hidden, inner),
            )
        case "llama":
            qkv_bias = out_bias = config["attention_bias"]
            mlp_bias = config["mlp_bias"]
        case "qwen2":
            qkv_bias, out_bias, mlp_bias = True, False, False
        case "starcoder2":
            qkv_bias = out_bias = mlp_bias = config["use_bias"]
        case unknown:
            known = ", ".join(FAMILIES)
            raise ValueError(f"model_type {unknown!r} is not known (allowed: {known})")
    is_gated = config["model_type"] != "starcoder2"
    inward = ("gate_proj", "up_proj") if is_gated else ("c_fc",)
    return (
        Linear("q_proj", query, hidden, qkv_bias),
        Linear("k_proj", value, hidden, qkv_bias),
        Linear("v_proj", value, hidden, qkv_bias),
        Linear("o_proj", hidden, query, out_bias),
        *(Linear(name, inner, hidden, mlp_bias) for name in inward),
        Linear("down_proj" if is_gated else "c_proj", hidden, inner, mlp_bias),
    )

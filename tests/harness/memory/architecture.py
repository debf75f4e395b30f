"""The layers of a model: their names and shapes, from its config.json alone."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Config = Mapping[str, Any]


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


def head_size(config: Config) -> int:
    """The width of one attention head."""
    return int(config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"])


def rotary_frequencies(config: Config) -> int:
    """How many rotary frequencies there are: one for each pair of a head's rotated dimensions."""
    return int(head_size(config) * config.get("partial_rotary_factor", 1.0)) // 2


def _attention(config: Config, qkv_bias: bool, out_bias: bool) -> tuple[Linear, ...]:
    """Separate projections; keys and values may have fewer heads than queries."""
    hidden, width = config["hidden_size"], head_size(config)
    query, value = config["num_attention_heads"] * width, config["num_key_value_heads"] * width
    return (
        Linear("q_proj", query, hidden, qkv_bias),
        Linear("k_proj", value, hidden, qkv_bias),
        Linear("v_proj", value, hidden, qkv_bias),
        Linear("o_proj", hidden, query, out_bias),
    )


def _gated_mlp(config: Config, bias: bool) -> tuple[Linear, ...]:
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    return (
        Linear("gate_proj", inner, hidden, bias),
        Linear("up_proj", inner, hidden, bias),
        Linear("down_proj", hidden, inner, bias),
    )


def _fused(config: Config) -> tuple[Linear, ...]:
    """Phi-3's layer: q, k and v are one weight, gate and up another; no biases."""
    query, key, value, out = _attention(config, qkv_bias=False, out_bias=False)
    gate, up, down = _gated_mlp(config, bias=False)
    hidden = config["hidden_size"]
    return (
        Linear("qkv_proj", query.rows + key.rows + value.rows, hidden),
        out,
        Linear("gate_up_proj", gate.rows + up.rows, hidden),
        down,
    )


def layer_linears(config: Config) -> tuple[Linear, ...]:
    """The linear layers of one transformer layer.

    Source: the modelling code of transformers 5.23. ValueError for an unknown `model_type`.
    """
    match config["model_type"]:
        case "llama":
            bias = config["attention_bias"]
            return _attention(config, bias, bias) + _gated_mlp(config, config["mlp_bias"])
        case "qwen2":
            attention = _attention(config, qkv_bias=True, out_bias=False)
            return attention + _gated_mlp(config, bias=False)
        case "phi3":
            return _fused(config)
        case "starcoder2":
            bias = config["use_bias"]
            hidden, inner = config["hidden_size"], config["intermediate_size"]
            mlp = Linear("c_fc", inner, hidden, bias), Linear("c_proj", hidden, inner, bias)
            return _attention(config, bias, bias) + mlp
    known = "llama, phi3, qwen2, starcoder2"
    raise ValueError(f"model_type {config['model_type']!r} is not known (allowed: {known})")

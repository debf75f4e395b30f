"""The layers that the registry implies, and where a loaded model differs from them."""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from math import prod
from typing import Any

from ..data.registry import Device, Model
from .architecture import layer_linears
from .footprint import BF16, FP32, NESTED_STATE, NF4_CODE, Load, weight_bytes
from .inventory import Layer

BLOCK, NESTED_BLOCK = 64, 256  # weights of one absmax; absmax values of one nested absmax
_ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj", "qkv_proj")
# The order in which a layer's differences are reported: causes before their consequences.
_FIELDS = (
    "kind",
    "quant_type",
    "nested_block_size",
    "block_size",
    "compute_dtype",
    "shape",
    "dtype",
    "device",
    "absmax_dtype",
    "weight_bytes",
    "absmax_bytes",
    "state_bytes",
)
assert set(_FIELDS) == {field.name for field in fields(Layer)}


def expected_inventory(model: Model, load: Load, device: Device) -> dict[str, Layer]:
    """The inventory that the registry's architecture and the task's configuration give."""
    config = model.architecture
    hidden, rows = config["hidden_size"], config["vocab_size"]
    norm = _unquantized(_norm_class(config), (hidden,), device)
    layers = {"model.embed_tokens": _unquantized("Embedding", (rows, hidden), device)}
    for index in range(config["num_hidden_layers"]):
        layer = f"model.layers.{index}"
        for linear in layer_linears(config):
            part = "self_attn" if linear.name in _ATTENTION else "mlp"
            layers[f"{layer}.{part}.{linear.name}"] = _expected_linear(
                linear.rows, linear.columns, load, device
            )
        layers[f"{layer}.input_layernorm"] = norm
        layers[f"{layer}.post_attention_layernorm"] = norm
    return layers | {"model.norm": norm, "lm_head": _unquantized("Linear", (rows, hidden), device)}


def _unquantized(kind: str, shape: tuple[int, ...], device: Device) -> Layer:
    return Layer(kind, shape, dtype="bfloat16", weight_bytes=BF16 * prod(shape), device=device)


def _norm_class(config: dict[str, Any]) -> str:
    # Starcoder2's are torch's own.
    names = {"llama": "LlamaRMSNorm", "qwen2": "Qwen2RMSNorm", "phi3": "Phi3RMSNorm"}
    return names.get(config["model_type"], "LayerNorm")


def _expected_linear(rows: int, columns: int, load: Load, device: Device) -> Layer:
    if load == "bf16":
        return _unquantized("Linear", (rows, columns), device)
    weights = rows * columns
    common: dict[str, Any] = {"shape": (rows, columns), "device": device}
    common["weight_bytes"] = weight_bytes(weights, load)
    if load == "int8":
        scales = FP32 * rows
        return Layer(
            "Linear8bitLt",
            dtype="int8",
            absmax_dtype="float32",
            absmax_bytes=scales,
            state_bytes=scales,
            **common,
        )
    blocks = -(-weights // BLOCK)
    nested = FP32 * -(-blocks // NESTED_BLOCK) + NESTED_STATE
    return Layer(
        "Linear4bit",
        dtype="uint8",
        quant_type="nf4",
        block_size=BLOCK,
        nested_block_size=NESTED_BLOCK,
        compute_dtype="bfloat16",
        absmax_dtype="uint8",
        absmax_bytes=blocks,
        state_bytes=blocks + nested + NF4_CODE,
        **common,
    )


def row_scale_bytes(model: Model) -> int:
    """Bytes of int8's scales: an fp32 for each row of a quantized layer."""
    rows = sum(linear.rows for linear in layer_linears(model.architecture))
    return FP32 * rows * int(model.architecture["num_hidden_layers"])


@dataclass(frozen=True)
class Difference:
    """One field of one layer; the field "presence" for layers missing or too many."""

    layer: str
    field: str
    got: Any
    expected: Any

    def __str__(self) -> str:
        """`model.norm: dtype got 'float32', expected 'bfloat16'`."""
        return f"{self.layer}: {self.field} got {self.got!r}, expected {self.expected!r}"

    @property
    def cause(self) -> str:
        """The likely cause in words."""
        match self.field, self.got, self.expected:
            case "kind", "Linear", _:
                return "the layer was left out of the quantization"
            case "kind", _, "Linear":
                return "the layer was quantized though it must not be"
            case "kind", _, _:
                return "the model was loaded in another way than requested"
            case "nested_block_size", None, _:
                return "double quantization is off"
            case "quant_type" | "compute_dtype", got, _:
                return f"bnb_4bit_{self.field} is {got}, or is not set"
            case "block_size", got, _:
                return f"bitsandbytes was given blocks of {got}, or its default changed"
            case "shape", _, _:
                return "the checkpoint or the architecture is another, or rows were added"
            case "dtype", got, _:
                return f"loaded or cast to {got}"
            case _:
                return "this version of bitsandbytes lays its data out in another way"


def differences(got: dict[str, Layer], expected: dict[str, Layer]) -> Iterator[Difference]:
    """Every field that differs, in the model's order; of each layer causes first."""
    for name in [*expected, *(name for name in got if name not in expected)]:
        if name not in got or name not in expected:
            kinds = [side[name].kind if name in side else None for side in (got, expected)]
            yield Difference(name, "presence", *kinds)
            continue
        for field in _FIELDS:
            value, right = getattr(got[name], field), getattr(expected[name], field)
            if value != right:
                yield Difference(name, field, value, right)

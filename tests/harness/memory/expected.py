"""The layers that the registry implies, and where a loaded model differs from them."""

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from math import prod
from typing import Any

from ..data.registry import Device, Model
from .architecture import Linear, layer_linears
from .footprint import BF16, BLOCK, FP32, NESTED_BLOCK, Load, layer_state_bytes, weight_bytes
from .inventory import Layer

_NORMS = {"llama": "LlamaRMSNorm", "qwen2": "Qwen2RMSNorm", "phi3": "Phi3RMSNorm"}


def expected_inventory(model: Model, load: Load, device: Device) -> dict[str, Layer]:
    """The inventory that the registry's architecture and the task's configuration give."""
    config = model.architecture
    hidden, rows = config["hidden_size"], config["vocab_size"]
    # Starcoder2's norms are torch's own.
    norm = _unquantized(_NORMS.get(config["model_type"], "LayerNorm"), (hidden,), device)
    layers = {"model.embed_tokens": _unquantized("Embedding", (rows, hidden), device)}
    for index in range(config["num_hidden_layers"]):
        layer = f"model.layers.{index}"
        for linear in layer_linears(config):
            layers[f"{layer}.{linear.path}"] = _expected_linear(linear, load, device)
        layers[f"{layer}.input_layernorm"] = norm
        layers[f"{layer}.post_attention_layernorm"] = norm
    return layers | {"model.norm": norm, "lm_head": _unquantized("Linear", (rows, hidden), device)}


def _unquantized(kind: str, shape: tuple[int, ...], device: Device) -> Layer:
    held = BF16 * prod(shape)
    return Layer(kind=kind, shape=shape, dtype="bfloat16", device=device, weight_bytes=held)


def _expected_linear(linear: Linear, load: Load, device: Device) -> Layer:
    layer = _unquantized("Linear", (linear.rows, linear.columns), device)
    if load == "bf16":
        return layer
    packed = replace(layer, weight_bytes=weight_bytes(linear.weights, load))
    if load == "int8":
        return replace(
            packed,
            kind="Linear8bitLt",
            dtype="int8",
            absmax_dtype="float32",
            absmax_bytes=FP32 * linear.rows,
            state_bytes=FP32 * linear.rows,
        )
    return replace(
        packed,
        kind="Linear4bit",
        dtype="uint8",
        quant_type="nf4",
        block_size=BLOCK,
        nested_block_size=NESTED_BLOCK,
        compute_dtype="bfloat16",
        absmax_dtype="uint8",
        absmax_bytes=-(-linear.weights // BLOCK),
        state_bytes=layer_state_bytes(linear.weights),
    )


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
        for field in fields(Layer):
            value, right = getattr(got[name], field.name), getattr(expected[name], field.name)
            if value != right:
                yield Difference(name, field.name, value, right)

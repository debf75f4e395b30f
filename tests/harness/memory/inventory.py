"""The layers of a loaded model: type, shape, bytes and quantization of each."""

from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Layer:
    """A module's weight. Fields that a kind of layer lacks are None (0 for bytes).

    Differences are reported in the order of the fields: causes before their consequences.
    """

    kind: str  # the module's class
    quant_type: str | None = None
    nested_block_size: int | None = None  # None: not nested, the absmax values are fp32
    block_size: int | None = None
    compute_dtype: str | None = None  # in which a 4-bit layer multiplies
    shape: tuple[int, ...]  # of the weight before packing: (rows, columns), or (width,)
    dtype: str  # of the weight's elements in memory
    device: str
    absmax_dtype: str | None = None
    weight_bytes: int  # of the weight in memory
    absmax_bytes: int = 0  # the absmax values; for int8 the scale of each row
    state_bytes: int = 0  # all tensors of the quant_state, the absmax among them


def inventory(model: Any) -> dict[str, Layer]:
    """Every module that holds a weight of its own, by name; nothing is computed on the model."""
    return {
        name: _layer_of(module)
        for name, module in model.named_modules()
        if module._parameters.get("weight") is not None
    }


def _layer_of(module: Any) -> Layer:
    weight = module.weight
    layer = Layer(
        kind=type(module).__name__,
        shape=tuple(weight.shape),
        dtype=_dtype_name(weight.dtype),
        weight_bytes=size(weight),
        device=weight.device.type,
    )
    if (scales := getattr(weight, "SCB", None)) is not None:
        dtype, held = _dtype_name(scales.dtype), size(scales)
        return replace(layer, absmax_dtype=dtype, absmax_bytes=held, state_bytes=held)
    if (state := getattr(weight, "quant_state", None)) is None:
        return layer
    return replace(
        layer,
        shape=tuple(state.shape),
        quant_type=state.quant_type,
        block_size=state.blocksize,
        nested_block_size=state.state2.blocksize if state.nested else None,
        compute_dtype=_dtype_name(module.compute_dtype),
        absmax_dtype=_dtype_name(state.absmax.dtype),
        absmax_bytes=size(state.absmax),
        state_bytes=sum(map(size, state_tensors(state).values())),
    )


def state_tensors(state: Any) -> dict[str, Any]:
    """The tensors of a 4-bit quant_state by name."""
    tensors = {"absmax": state.absmax, "code": state.code}
    if state.nested:
        tensors |= {"offset": state.offset}
        tensors |= {"nested absmax": state.state2.absmax, "nested code": state.state2.code}
    return tensors


def size(tensor: Any) -> int:
    """Bytes of a tensor's elements."""
    return int(tensor.numel() * tensor.element_size())


def _dtype_name(dtype: Any) -> str:
    return str(dtype).removeprefix("torch.")

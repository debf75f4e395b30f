"""Derived bounds on the distance of a quantized weight from the one it was made of."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..sources.shards import stored_tensor, tensor_files

# Relative errors of one rounding: half a step of the type's significant bits.
_BF16_ROUNDOFF = 2**-8
_FP16_ROUNDOFF = 2**-11
_FP32_SLACK = 2**-20  # of a few roundings in fp32

# bitsandbytes finds the nearest of the 256 codes through a table of 2^16 places: a value next to
# the middle between two codes may be given the farther one. Measured: 2.7e-5 on the CPU.
_TABLE_SLACK = 2**-15


def quantized_layers(model: Any) -> Iterator[tuple[str, Any]]:
    """Names and modules of the layers whose weight is quantized."""
    for name, module in model.named_modules():
        weight = getattr(module, "weight", None)
        if getattr(weight, "quant_state", None) is not None or hasattr(weight, "SCB"):
            yield name, module


def originals(folder: Path, names: list[str], device: str) -> Iterator[Any]:
    """The checkpoint's tensors of these layers' weights, in the order of the names."""
    files = tensor_files(folder)
    for name in names:
        yield stored_tensor(files, f"{name}.weight", device)


def half_gap(code: Any) -> float:
    """Half the largest distance between neighbouring values of a code table."""
    return float(code.float().sort().values.diff().max()) / 2


def nf4_errors(original: Any, weight: Any) -> tuple[Any, Any]:
    """Largest error of each block, and its bound; both fp32, one value a block.

    A block of weights with the largest magnitude a is stored as codes c times a. Rounding to the
    nearest code errs by at most half the largest gap of the code table, times a. With double
    quantization a itself is stored as (d x n + mean), with d from a table of 256 values and n
    the largest magnitude of its own block: that errs by at most half that table's largest gap,
    times n; and |c| <= 1. The product is rounded to bf16.
    """
    from bitsandbytes.functional import dequantize_4bit

    state = weight.quant_state
    blocks = original.float().reshape(-1, state.blocksize)
    stored = dequantize_4bit(weight.data, state).float().reshape(-1, state.blocksize)
    largest = blocks.abs().amax(1)
    nested = largest.new_zeros(())
    if state.nested:
        step = half_gap(state.state2.code) + _TABLE_SLACK
        spread = state.state2.absmax.repeat_interleave(state.state2.blocksize)
        nested = step * spread[: largest.numel()]
    bound = half_gap(state.code) * largest + nested
    bound = bound + (_BF16_ROUNDOFF + _FP32_SLACK) * (largest + nested)
    return (blocks - stored).abs().amax(1), bound


def int8_errors(original: Any, weight: Any) -> tuple[Any, Any]:
    """Largest error of each row, and its bound; both fp32, one value a row.

    A row with the largest magnitude a is stored in steps of a/127, after a cast to fp16.
    """
    rows = original.float()
    largest = rows.abs().amax(1)
    stored = weight.data.float() * (weight.SCB.float() / 127)[:, None]
    bound = largest * (0.5 / 127 + 2 * _FP16_ROUNDOFF + _FP32_SLACK)
    return (rows - stored).abs().amax(1), bound

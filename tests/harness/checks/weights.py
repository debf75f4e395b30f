"""Judges a loaded model's weights: each is a number, and the checkpoint's own."""

from collections.abc import Iterator
from typing import Any

from ..errors import fail
from ..memory.inventory import state_tensors
from ..model.error_bounds import quantized_layers
from ..model.loading import LoadedModel
from ..sources.shards import stored_tensor, tensor_files


def check_finite(loaded: LoadedModel) -> None:
    """Fail for the first tensor that holds a NaN or an infinite value, and count all."""
    broken = [(name, count, of) for name, count, of in _not_finite(loaded.model) if count]
    if broken:
        name, count, of = broken[0]
        fail(
            loaded.label,
            f"{name}: got {count:,} of {of:,} values that are NaN or infinite, expected numbers",
            *(f"{name}: {count:,} of {of:,}" for name, count, of in broken[1:10]),
            cause=f"the checkpoint is damaged in {len(broken)} tensors, or loading it went wrong",
        )


def _not_finite(model: Any) -> Iterator[tuple[str, int, int]]:
    """Name, number of values that are none, and of all, of every tensor of floating point."""
    tensors = [*model.named_parameters(), *model.named_buffers()]
    for name, module in quantized_layers(model):
        state = getattr(module.weight, "quant_state", None)
        parts = state_tensors(state) if state is not None else {"row scales": module.weight.SCB}
        tensors += [(f"{name}, {part}", tensor) for part, tensor in parts.items()]
    for name, tensor in tensors:
        if tensor is not None and tensor.is_floating_point():
            yield name, int((~tensor.isfinite()).sum()), tensor.numel()


def check_equal_to_checkpoint(loaded: LoadedModel) -> None:
    """Fail for the first weight in bf16 whose bits are not those of the checkpoint's tensor.

    Quantized weights are judged by their error bounds; keys that one side lacks, by the loading
    report.
    """
    import torch

    files = tensor_files(loaded.weights.folder)
    quantized = {f"{name}.weight" for name, _ in quantized_layers(loaded.model)}
    other: list[tuple[str, int, int]] = []
    for name, tensor in loaded.model.named_parameters():
        if name in quantized or name not in files:
            continue
        original = stored_tensor(files, name, str(tensor.device)).to(torch.bfloat16)
        bits = [each.detach().view(torch.int16) for each in (tensor, original)]
        if count := int((bits[0] != bits[1]).sum()):
            other.append((name, count, tensor.numel()))
    if other:
        name, count, of = other[0]
        more = f" ({len(other)} such tensors)" if len(other) > 1 else ""
        fail(
            loaded.label,
            f"{name}: got other bits in {count:,} of {of:,} values, expected those of the "
            f"checkpoint{more}",
            cause="memory is damaged, or transformers casts or changes weights as it loads them",
        )

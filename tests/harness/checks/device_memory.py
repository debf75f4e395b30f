"""Judges what a load took and left on a CUDA device, from torch's own counters."""

from ..errors import fail
from ..memory.footprint import footprint
from ..model.loading import LoadedModel

ROUNDING = 512  # bytes: torch's CUDA allocator gives memory in multiples of this


UNSPLIT = 1 << 20  # bytes: of a large block it does not split off a rest up to this


SMALL = 1 << 20  # bytes: tensors up to this come from blocks that are split to the rounding


def check_requested(loaded_model: LoadedModel) -> None:
    """Fail unless the load left exactly its tensors on the device, to the byte (CUDA)."""
    got, expected = loaded_model.measured.requested, sum(loaded_model.measured.storages)
    if got != expected:
        fail(
            loaded_model.label,
            f"the load left {got:,} B of tensors on the device, and the model holds "
            f"{expected:,} ({got - expected:+,} B)",
            cause="a copy of a weight is kept",
        )


def allocation_bounds(storages: tuple[int, ...]) -> tuple[int, int]:
    """The least and the most that torch's CUDA allocator counts for these pieces of memory.

    Each is rounded up to 512 B. One of more than 1 MiB may be given a larger free block, of
    which up to 1 MiB is not split off but counted with it. Source: CUDACachingAllocator.cpp of
    torch 2.11, `round_size` and `should_split`.
    """
    least = sum(-(-size // ROUNDING) * ROUNDING for size in storages)
    return least, least + UNSPLIT * sum(size > SMALL for size in storages)


def check_allocated(loaded_model: LoadedModel) -> None:
    """Fail unless the device's allocated memory grew by the model, within the rounding (CUDA)."""
    got = loaded_model.measured.after - loaded_model.measured.before
    least, most = allocation_bounds(loaded_model.measured.storages)
    if not least <= got <= most:
        fail(
            loaded_model.label,
            f"the load left {got:,} B allocated, expected {least:,} to {most:,}",
            cause="a tensor beside the model is kept",
        )


def check_peak(loaded_model: LoadedModel) -> None:
    """Fail if loading took more at its peak than the model and a tensor on its way (CUDA).

    A quantized load holds one tensor of the checkpoint in bf16 beside the model so far; the
    bound allows for the largest of all, the embedding.
    """
    got = loaded_model.measured.peak - loaded_model.measured.before
    _, most = allocation_bounds(loaded_model.measured.storages)
    bound = most + footprint(loaded_model.spec, loaded_model.load).embedding
    if got > bound:
        fail(
            loaded_model.label,
            f"loading took {got:,} B at its peak, expected at most {bound:,}",
            cause=(
                "tensors reach the device faster than they are quantized (transformers issue 43032)"
            ),
        )

"""Checks of what a load took and left on a CUDA device, from torch's own counters."""

from ..errors import fail
from ..memory.footprint import footprint
from ..model.loading import LoadedModel

# Of torch's CUDA allocator, in bytes.
_ROUNDING = 512  # memory is given in multiples of this
_UNSPLIT = 1 << 20  # a rest up to this is not split off a large block
_SMALL = 1 << 20  # tensors up to this come from blocks that are split to the rounding


def check_requested(loaded: LoadedModel) -> None:
    """Fail unless the load left exactly its tensors on the device, to the byte (CUDA)."""
    got, expected = loaded.measured.requested, sum(loaded.measured.storages)
    if got != expected:
        fail(
            loaded.label,
            f"the load left {got:,} B of tensors on the device, and the model holds "
            f"{expected:,} ({got - expected:+,} B)",
            cause="a copy of a weight is kept",
        )


def allocation_bounds(storages: tuple[int, ...]) -> tuple[int, int]:
    """The least and the most bytes that torch's CUDA allocator counts for these storages.

    Each is rounded up to 512 B. One of more than 1 MiB may be given a larger free block, of
    which up to 1 MiB is not split off but counted with it. Source: CUDACachingAllocator.cpp of
    torch 2.11, `round_size` and `should_split`.
    """
    least = sum(-(-size // _ROUNDING) * _ROUNDING for size in storages)
    return least, least + _UNSPLIT * sum(size > _SMALL for size in storages)


def check_allocated(loaded: LoadedModel) -> None:
    """Fail unless the device's allocated memory grew by the model, within the rounding (CUDA)."""
    got = loaded.measured.after - loaded.measured.before
    least, most = allocation_bounds(loaded.measured.storages)
    if not least <= got <= most:
        fail(
            loaded.label,
            f"the load left {got:,} B allocated, expected {least:,} to {most:,}",
            cause="a tensor beside the model is kept",
        )


def check_peak(loaded: LoadedModel) -> None:
    """Fail if loading took more at its peak than the model and a tensor on its way (CUDA).

    A quantized load holds one tensor of the checkpoint in bf16 beside the model so far; the
    bound allows for the largest of all, the embedding.
    """
    got = loaded.measured.peak - loaded.measured.before
    _, most = allocation_bounds(loaded.measured.storages)
    bound = most + footprint(loaded.spec, loaded.load).embedding
    if got > bound:
        fail(
            loaded.label,
            f"loading took {got:,} B at its peak, expected at most {bound:,}",
            cause="tensors reach the device faster than they are quantized (transformers issue "
            "43032)",
        )

"""Judges what a load took and left on a CUDA device, from torch's own counters."""

from .diagnosis import fail
from .live import Live
from .memory import footprint

ROUNDING = 512  # bytes: torch's CUDA allocator gives memory in multiples of this
UNSPLIT = 1 << 20  # bytes: of a large block it does not split off a rest up to this
SMALL = 1 << 20  # bytes: tensors up to this come from blocks that are split to the rounding


def check_requested(live: Live) -> None:
    """Fail unless the load left exactly its tensors on the device, to the byte (CUDA)."""
    got, expected = live.measured.requested, sum(live.measured.storages)
    if got != expected:
        fail(
            f"{live.title}: the load left {got:,} B of tensors on the device, and the model holds "
            f"{expected:,} ({got - expected:+,} B); likely cause: a copy of a weight is kept"
        )


def allocation_bounds(storages: tuple[int, ...]) -> tuple[int, int]:
    """The least and the most that torch's CUDA allocator counts for these pieces of memory.

    Each is rounded up to 512 B. One of more than 1 MiB may be given a larger free block, of
    which up to 1 MiB is not split off but counted with it. Source: CUDACachingAllocator.cpp of
    torch 2.11, `round_size` and `should_split`.
    """
    least = sum(-(-size // ROUNDING) * ROUNDING for size in storages)
    return least, least + UNSPLIT * sum(size > SMALL for size in storages)


def check_allocated(live: Live) -> None:
    """Fail unless the device's allocated memory grew by the model, within the rounding (CUDA)."""
    got = live.measured.after - live.measured.before
    least, most = allocation_bounds(live.measured.storages)
    if not least <= got <= most:
        fail(
            f"{live.title}: the load left {got:,} B allocated, expected {least:,} to {most:,}; "
            "likely cause: a tensor beside the model is kept"
        )


def check_peak(live: Live) -> None:
    """Fail if loading took more at its peak than the model and a tensor on its way (CUDA).

    A quantised load holds one tensor of the checkpoint in bf16 beside the model so far; the
    bound allows for the largest of all, the embedding.
    """
    got = live.measured.peak - live.measured.before
    _, most = allocation_bounds(live.measured.storages)
    bound = most + footprint(live.facts, live.load).embedding
    if got > bound:
        fail(
            f"{live.title}: loading took {got:,} B at its peak, expected at most {bound:,}; "
            "likely cause: tensors reach the device faster than they are quantised "
            "(transformers issue 43032)"
        )

"""Checks of a loaded model: its loading, its bytes and layers, and what it took on a GPU."""

from collections import Counter
from collections.abc import Sequence

from ..errors import fail
from ..memory.expected import differences, expected_inventory
from ..memory.footprint import explain, footprint, quant_state_bytes
from ..model.figures import state_bytes
from ..model.loading import LoadedModel

# Of torch's CUDA allocator, in bytes.
_ROUNDING = 512  # memory is given in multiples of this
_UNSPLIT = 1 << 20  # a rest up to this is not split off a large block
_SMALL = 1 << 20  # tensors up to this come from blocks that are split to the rounding


def check_loading_info(loaded: LoadedModel, kind: str) -> None:
    """Fail unless no key is missing, unexpected or mismatched (`kind`)."""
    if names := sorted(map(str, loaded.measured.loading_info[kind])):
        fail(
            loaded.label,
            f"{kind}: got {len(names)}, first {names[0]}, expected none",
            *names[1:10],
            cause="the checkpoint is not of this architecture, or a shard is damaged",
        )


def check_no_messages(loaded: LoadedModel, during: str, messages: Sequence[str]) -> None:
    """Fail if loading, or the call named by `during`, printed, logged or warned anything."""
    if messages:
        fail(
            loaded.label,
            f"{during} printed {messages[0]!r:.300}; expected no output ({len(messages)} messages)",
            *messages[1:10],
        )


def check_footprint(loaded: LoadedModel) -> None:
    """Fail unless `get_memory_footprint()` is the registry's figure, to the byte."""
    got, expected = loaded.measured.footprint, footprint(loaded.spec, loaded.load).total
    if got != expected:
        fail(
            loaded.label,
            f"get_memory_footprint() got {got:,} B, expected {expected:,}",
            cause=explain(got - expected, loaded.spec, loaded.load),
        )


def check_buffers(loaded: LoadedModel) -> None:
    """Fail unless the buffers have the declared names and sizes."""
    got, expected = loaded.measured.buffers, dict(footprint(loaded.spec, loaded.load).buffers)
    if got != expected:
        fail(
            loaded.label,
            f"buffers got {got}, expected {expected}",
            cause="this version of transformers registers others",
        )


def check_layers(loaded: LoadedModel) -> None:
    """Fail unless every layer is made as the registry and the task's configuration say."""
    expected = expected_inventory(loaded.spec, loaded.load, loaded.device)
    wrong = list(differences(loaded.measured.layers, expected))
    if not wrong:
        return
    first, fields = wrong[0], Counter(difference.field for difference in wrong)
    alike = sum((layer.field, layer.got) == (first.field, first.got) for layer in wrong)
    fail(
        loaded.label,
        f"{first} ({alike} such layers of {len(expected)})",
        *(f"  {field} differs in {number} layers" for field, number in fields.items()),
        *(f"  {difference}" for difference in wrong[1:10]),
        cause=first.cause,
    )


def check_bytes(loaded: LoadedModel) -> None:
    """Fail unless the memory held is the footprint and the quantization's own data, exactly."""
    got, states = sum(loaded.measured.storages), state_bytes(loaded)
    expected = footprint(loaded.spec, loaded.load).total + states
    if got != expected:
        fail(
            loaded.label,
            f"all tensors hold {got:,} B, expected {expected:,} (quantization's own data: "
            f"{states:,} B)",
            cause=_explain_states(loaded, got - expected),
        )


def _explain_states(loaded: LoadedModel, difference: int) -> str:
    if loaded.load == "nf4":
        for words, size in {
            "double quantization is off": quant_state_bytes(loaded.spec, double_quant=False),
            "the block size is 128": quant_state_bytes(loaded.spec, blocksize=128),
            "the block size is 32": quant_state_bytes(loaded.spec, blocksize=32),
        }.items():
            if size - state_bytes(loaded) == difference:
                return f"{difference:+,} B = {words}"
    return explain(difference, loaded.spec, loaded.load)


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

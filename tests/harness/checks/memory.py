"""Checks of a loaded model: its loading, its bytes and its layers against the registry."""

from collections import Counter
from collections.abc import Sequence

from ..errors import fail
from ..memory.expected import differences, expected_inventory
from ..memory.footprint import explain, footprint, quant_state_bytes
from ..model.figures import state_bytes
from ..model.loading import LoadedModel


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
    """What explains bytes too many or too few beside the footprint."""
    if loaded.load == "nf4":
        for words, size in {
            "double quantization is off": quant_state_bytes(loaded.spec, double_quant=False),
            "the block size is 128": quant_state_bytes(loaded.spec, blocksize=128),
            "the block size is 32": quant_state_bytes(loaded.spec, blocksize=32),
        }.items():
            if size - state_bytes(loaded) == difference:
                return f"{difference:+,} B = {words}"
    return explain(difference, loaded.spec, loaded.load)

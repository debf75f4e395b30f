"""Judges a loaded model: its loading, its bytes and its layers against the registry."""

from collections import Counter

from ..errors import fail
from ..memory.expected import differences, expected_inventory
from ..memory.footprint import explain, footprint, quant_state_bytes
from ..model.figures import state_bytes
from ..model.loading import LoadedModel


def check_loading_info(loaded_model: LoadedModel, kind: str) -> None:
    """Fail unless no key is missing, unexpected or mismatched (`kind`)."""
    if names := sorted(map(str, loaded_model.measured.loading_info[kind])):
        fail(
            loaded_model.label,
            f"{kind}: got {len(names)}, first {names[0]}, expected none",
            *names[1:10],
            cause="the checkpoint is not of this architecture, or a shard is damaged",
        )


def check_silence(loaded_model: LoadedModel) -> None:
    """Fail if anything was said while the model was loaded."""
    if messages := loaded_model.measured.messages:
        fail(
            loaded_model.label,
            f"the load said {messages[0]!r:.300}, expected a silent one ({len(messages)} messages)",
            *messages[1:10],
        )


def check_footprint(loaded_model: LoadedModel) -> None:
    """Fail unless `get_memory_footprint()` is the registry's figure, to the byte."""
    got, expected = (
        loaded_model.measured.footprint,
        footprint(loaded_model.spec, loaded_model.load).total,
    )
    if got != expected:
        fail(
            loaded_model.label,
            f"get_memory_footprint() got {got:,} B, expected {expected:,}",
            cause=explain(got - expected, loaded_model.spec, loaded_model.load),
        )


def check_buffers(loaded_model: LoadedModel) -> None:
    """Fail unless the buffers have the declared names and sizes."""
    got, expected = (
        loaded_model.measured.buffers,
        dict(footprint(loaded_model.spec, loaded_model.load).buffers),
    )
    if got != expected:
        fail(
            loaded_model.label,
            f"buffers got {got}, expected {expected}",
            cause="this version of transformers registers others",
        )


def check_layers(loaded_model: LoadedModel) -> None:
    """Fail unless every layer is made as the registry and the task's configuration say."""
    expected = expected_inventory(loaded_model.spec, loaded_model.load, loaded_model.device)
    found = list(differences(loaded_model.measured.layers, expected))
    if not found:
        return
    first, fields = found[0], Counter(it.field for it in found)
    alike = sum((it.field, it.got) == (first.field, first.got) for it in found)
    fail(
        loaded_model.label,
        f"{first} ({alike} such layers of {len(expected)})",
        *(f"  {field} differs in {number} layers" for field, number in fields.items()),
        *(f"  {it}" for it in found[1:10]),
        cause=first.cause,
    )


def check_bytes(loaded_model: LoadedModel) -> None:
    """Fail unless the memory held is the footprint and the quantization's own data, exactly."""
    got = sum(loaded_model.measured.storages)
    expected = footprint(loaded_model.spec, loaded_model.load).total + state_bytes(loaded_model)
    if got != expected:
        fail(
            loaded_model.label,
            f"all tensors hold {got:,} B, expected {expected:,} (quantization's own data: "
            f"{state_bytes(loaded_model):,} B)",
            cause=explain_states(loaded_model, got - expected),
        )


def explain_states(loaded_model: LoadedModel, difference: int) -> str:
    """What explains bytes too many or too few beside the footprint."""
    usual, facts = state_bytes(loaded_model), loaded_model.spec
    if loaded_model.load == "nf4":
        for words, size in {
            "double quantization is off": quant_state_bytes(facts, double_quant=False),
            "the block size is 128": quant_state_bytes(facts, blocksize=128),
            "the block size is 32": quant_state_bytes(facts, blocksize=32),
        }.items():
            if size - usual == difference:
                return f"{difference:+,} B = {words}"
    return explain(difference, facts, loaded_model.load)

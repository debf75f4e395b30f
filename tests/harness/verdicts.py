"""Judges a loaded model: its loading, its bytes and its layers against the registry."""

from collections import Counter

from .diagnosis import fail
from .layer_facts import differences, expected_inventory, row_scale_bytes
from .live import Live
from .memory import explain, footprint, quant_state_bytes


def state_bytes(live: Live) -> int:
    """Bytes that the footprint does not see: the quant_states of NF4, the row scales of int8."""
    if live.load == "nf4":
        return quant_state_bytes(live.facts)
    return row_scale_bytes(live.facts) if live.load == "int8" else 0


def figures(live: Live) -> str:
    """The figures of a load on one line: computed and measured bytes, seconds."""
    seen, computed = live.measured, footprint(live.facts, live.load).total
    found = (
        f"{live.weights.note}: {seen.seconds:.1f} s, footprint {seen.footprint:,} B "
        f"({computed:,} computed), all tensors {sum(seen.storages):,} B "
        f"({computed + state_bytes(live):,} computed)"
    )
    if live.device == "cpu":
        return found
    return f"{found}, allocated {seen.after - seen.before:,} B, peak {seen.peak - seen.before:,} B"


def check_loading_info(live: Live, kind: str) -> None:
    """Fail unless no key is missing, unexpected or mismatched (`kind`)."""
    if names := sorted(map(str, live.measured.loading_info[kind])):
        fail(
            f"{live.title}: {kind}: got {len(names)}, first {names[0]}, expected none; "
            "likely cause: the checkpoint is not of this architecture, or a shard is damaged",
            *names[1:10],
        )


def check_silence(live: Live) -> None:
    """Fail if anything was said while the model was loaded."""
    if messages := live.measured.messages:
        fail(
            f"{live.title}: the load said {messages[0]!r:.300}, expected a silent one "
            f"({len(messages)} messages)",
            *messages[1:10],
        )


def check_footprint(live: Live) -> None:
    """Fail unless `get_memory_footprint()` is the registry's figure, to the byte."""
    got, expected = live.measured.footprint, footprint(live.facts, live.load).total
    if got != expected:
        fail(
            f"{live.title}: get_memory_footprint() got {got:,} B, expected {expected:,}; "
            f"likely cause: {explain(got - expected, live.facts, live.load)}",
        )


def check_buffers(live: Live) -> None:
    """Fail unless the buffers have the declared names and sizes."""
    got, expected = live.measured.buffers, dict(footprint(live.facts, live.load).buffers)
    if got != expected:
        fail(
            f"{live.title}: buffers got {got}, expected {expected}; likely cause: this version "
            "of transformers registers others"
        )


def check_layers(live: Live) -> None:
    """Fail unless every layer is made as the registry and the task's configuration say."""
    expected = expected_inventory(live.facts, live.load, live.device)
    found = list(differences(live.measured.layers, expected))
    if not found:
        return
    first, fields = found[0], Counter(it.field for it in found)
    alike = sum((it.field, it.got) == (first.field, first.got) for it in found)
    fail(
        f"{live.title}: {first} ({alike} such layers of {len(expected)}); "
        f"likely cause: {first.cause}",
        *(f"  {field} differs in {number} layers" for field, number in fields.items()),
        *(f"  {it}" for it in found[1:10]),
    )


def check_bytes(live: Live) -> None:
    """Fail unless the memory held is the footprint and the quantisation's own data, exactly."""
    got = sum(live.measured.storages)
    expected = footprint(live.facts, live.load).total + state_bytes(live)
    if got != expected:
        fail(
            f"{live.title}: all tensors hold {got:,} B, expected {expected:,} (quantisation's own "
            f"data: {state_bytes(live):,} B); likely cause: {explain_states(live, got - expected)}"
        )


def explain_states(live: Live, difference: int) -> str:
    """What explains bytes too many or too few beside the footprint."""
    usual, facts = state_bytes(live), live.facts
    if live.load == "nf4":
        for words, size in {
            "double quantisation is off": quant_state_bytes(facts, double_quant=False),
            "the block size is 128": quant_state_bytes(facts, blocksize=128),
            "the block size is 32": quant_state_bytes(facts, blocksize=32),
        }.items():
            if size - usual == difference:
                return f"{difference:+,} B = {words}"
    return explain(difference, facts, live.load)

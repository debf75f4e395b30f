"""The figures of a load, for reports: where its bytes are, and what it may take."""

from collections import Counter
from dataclasses import dataclass

from ..memory.expected import row_scale_bytes
from ..memory.footprint import bytes_needed, footprint, quant_state_bytes
from .loading import LoadedModel


@dataclass(frozen=True)
class LoadFigures:
    """Bytes of a loaded model as measured, but for `computed` and `budget`; seconds of its load.

    `kinds`, `quant_states`, `buffers` and `other` add up to `held`. What the CPU does not count
    is None.
    """

    weights: str  # which weights these are
    seconds: float
    kinds: dict[str, int]  # of the weights, by the class of their layer; a tied head counts once
    quant_states: int  # which the footprint does not see; of int8 the row scales
    buffers: int
    other: int  # biases, and whatever else is held
    held: int  # by all tensors
    footprint: int  # get_memory_footprint()
    computed: int  # the same, by the registry's arithmetic
    allocated: int | None  # on the device, by this load
    peak: int | None  # while it was loaded
    budget: int  # what must be free before it is loaded


def load_figures(loaded_model: LoadedModel) -> LoadFigures:
    """The figures of a loaded model."""
    seen, kinds = loaded_model.measured, Counter[str]()
    tied = loaded_model.spec.architecture["tie_word_embeddings"]
    for name, layer in seen.layers.items():
        if not (tied and name == "lm_head"):
            kinds[layer.kind] += layer.weight_bytes
    states = sum(layer.state_bytes for layer in seen.layers.values())
    buffers, held = sum(seen.buffers.values()), sum(seen.storages)
    counted = loaded_model.device != "cpu"
    return LoadFigures(
        weights=loaded_model.weights.note,
        seconds=round(seen.seconds, 2),
        kinds=dict(kinds),
        quant_states=states,
        buffers=buffers,
        other=held - kinds.total() - states - buffers,
        held=held,
        footprint=seen.footprint,
        computed=footprint(loaded_model.spec, loaded_model.load).total,
        allocated=seen.after - seen.before if counted else None,
        peak=seen.peak - seen.before if counted else None,
        budget=bytes_needed(loaded_model.spec, loaded_model.load),
    )


def state_bytes(loaded_model: LoadedModel) -> int:
    """Bytes that the footprint does not see: the quant_states of NF4, the row scales of int8."""
    if loaded_model.load == "nf4":
        return quant_state_bytes(loaded_model.spec)
    return row_scale_bytes(loaded_model.spec) if loaded_model.load == "int8" else 0


def describe(loaded_model: LoadedModel) -> str:
    """The figures of a load on one line: computed and measured bytes, seconds."""
    seen, computed = loaded_model.measured, footprint(loaded_model.spec, loaded_model.load).total
    found = (
        f"{loaded_model.weights.note}: {seen.seconds:.1f} s, footprint {seen.footprint:,} B "
        f"({computed:,} computed), all tensors {sum(seen.storages):,} B "
        f"({computed + state_bytes(loaded_model):,} computed)"
    )
    if loaded_model.device == "cpu":
        return found
    return f"{found}, allocated {seen.after - seen.before:,} B, peak {seen.peak - seen.before:,} B"

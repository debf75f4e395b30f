"""The figures of a load, for reports: where its bytes are, and how many it may take."""

from collections import Counter
from dataclasses import dataclass

from ..memory.expected import expected_inventory
from ..memory.footprint import bytes_needed, footprint
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
    quant_states: int  # which the footprint leaves out; of int8 the row scales
    buffers: int
    other: int  # biases, and whatever else is held
    held: int  # by all tensors
    footprint: int  # get_memory_footprint()
    computed: int  # the same, by the registry's arithmetic
    allocated: int | None  # on the device, by this load
    peak: int | None  # while it was loaded
    budget: int  # what must be free before it is loaded


def load_figures(loaded: LoadedModel) -> LoadFigures:
    """What was measured and computed of a loaded model, added up."""
    measured, kinds = loaded.measured, Counter[str]()
    tied = loaded.spec.architecture["tie_word_embeddings"]
    for name, layer in measured.layers.items():
        if not (tied and name == "lm_head"):
            kinds[layer.kind] += layer.weight_bytes
    states = sum(layer.state_bytes for layer in measured.layers.values())
    buffers, held = sum(measured.buffers.values()), sum(measured.storages)
    counted = loaded.device != "cpu"
    return LoadFigures(
        weights=loaded.weights.note,
        seconds=round(measured.seconds, 2),
        kinds=dict(kinds),
        quant_states=states,
        buffers=buffers,
        other=held - kinds.total() - states - buffers,
        held=held,
        footprint=measured.footprint,
        computed=footprint(loaded.spec, loaded.load).total,
        allocated=measured.after - measured.before if counted else None,
        peak=measured.peak - measured.before if counted else None,
        budget=bytes_needed(loaded.spec, loaded.load),
    )


def state_bytes(loaded: LoadedModel) -> int:
    """Bytes that the footprint leaves out: the quant_states of NF4, the row scales of int8."""
    expected = expected_inventory(loaded.spec, loaded.load, loaded.device)
    return sum(layer.state_bytes for layer in expected.values())


def describe(loaded: LoadedModel) -> str:
    """The figures of a load on one line: computed and measured bytes, seconds."""
    figures = load_figures(loaded)
    line = (
        f"{figures.weights}: {figures.seconds:.1f} s, footprint {figures.footprint:,} B "
        f"({figures.computed:,} computed), all tensors {figures.held:,} B "
        f"({figures.computed + state_bytes(loaded):,} computed)"
    )
    if figures.allocated is None:
        return line
    return f"{line}, allocated {figures.allocated:,} B, peak {figures.peak:,} B"

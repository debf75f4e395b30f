"""The figures of a load, for reports: where its bytes are, and what it may take."""

from collections import Counter
from dataclasses import dataclass

from .live import Live, bytes_needed
from .memory import footprint


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


def load_figures(live: Live) -> LoadFigures:
    """The figures of a loaded model."""
    seen, kinds = live.measured, Counter[str]()
    tied = live.facts.architecture["tie_word_embeddings"]
    for name, layer in seen.layers.items():
        if not (tied and name == "lm_head"):
            kinds[layer.kind] += layer.weight_bytes
    states = sum(layer.state_bytes for layer in seen.layers.values())
    buffers, held = sum(seen.buffers.values()), sum(seen.storages)
    counted = live.device != "cpu"
    return LoadFigures(
        weights=live.weights.note,
        seconds=round(seen.seconds, 2),
        kinds=dict(kinds),
        quant_states=states,
        buffers=buffers,
        other=held - kinds.total() - states - buffers,
        held=held,
        footprint=seen.footprint,
        computed=footprint(live.facts, live.load).total,
        allocated=seen.after - seen.before if counted else None,
        peak=seen.peak - seen.before if counted else None,
        budget=bytes_needed(live.facts, live.load),
    )

"""What a wrong part computes instead: the reference with each known mistake, tried in turn."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from .comparison import (
    PartError,
    Rows,
    expected_of,
    kind_of,
    relative_error,
    returned,
    sections_of,
)
from .recording import Recording
from .reference import ACTIVATIONS, Variant, rotated
from .spec import ForwardSpec
from .weights import Weights

_BASES = (10_000.0, 100_000.0, 500_000.0, 1_000_000.0)
_EPSILONS = (0.0, 1e-6, 1e-5, 1e-2)
_CAPS = (30.0, 50.0)  # Gemma's
# Settings of Llama-3's scaling that others have.
_SCALINGS = (
    *(("factor", factor) for factor in (1, 2, 4, 16, 32)),
    *(("original_max_position_embeddings", context) for context in (4096, 131_072)),
)
_EXPLAINED = 4  # how many times nearer than the reference a mistake must be

# Where no mistake explains it.
_USUAL = {
    "embedding": "another row, dtype or scale of the embedding",
    "rotary": "the base, the scaling or the positions of the rotary tables",
    "norm": "the epsilon, the weight or the dtype of the norm",
    "attention": "the scale, the mask or the heads of attention",
    "mlp": "the activation or the order of the products of the MLP",
    "head": "the head's weight, or something done to the logits",
}


@dataclass(frozen=True)
class _Mistake:
    words: str
    spec: ForwardSpec
    weights: Weights
    changes: dict[str, Any] = field(default_factory=dict)


def explain(
    record: Recording, spec: ForwardSpec, weights: Weights, error: PartError, bound: float
) -> str:
    """The likely cause of a part's error: the mistake that explains it, or what it may be."""
    name, rows = error.part, error.rows
    tokens = sections_of(name, rows)[error.section]  # the prompt may be right where answers are not
    got = returned(record, name, rows).float()[tokens]
    right = expected_of(record, spec, weights, name, rows)[tokens]
    if got.shape != right.shape:
        return f"it is of shape {tuple(got.shape)}, the reference of {tuple(right.shape)}"
    if not got.isfinite().all():
        return "not all of it are numbers: a token that sees nothing, or an overflow"
    enough = max(min(bound, relative_error(got, right) / _EXPLAINED), 1e-30)
    best, cause = enough, ""
    for mistake in _mistakes(record, spec, weights, name, rows):
        try:
            wrong = expected_of(
                record, mistake.spec, mistake.weights, name, rows, **mistake.changes
            )[tokens]
        except (KeyError, RuntimeError):  # a weight or a shape that this model does not have
            continue
        off = relative_error(got, wrong)
        if off < best and not (off and wrong.equal(right)):
            best, cause = off, f"it is the reference with {mistake.words}"
    if not cause:
        factor = float((got * right).sum() / right.square().sum().clamp(min=1e-30))
        if relative_error(got, factor * right) < enough:
            cause = f"it is the reference times {factor:.4g}"
    return cause or _USUAL[kind_of(name)]


def _mistakes(
    record: Recording, spec: ForwardSpec, weights: Weights, name: str, rows: Rows
) -> Iterator[_Mistake]:
    match kind_of(name):
        case "rotary":
            yield from _of_rotary(record, spec, weights, name, rows)
        case "attention":
            yield from _of_attention(spec, weights)
        case "norm":
            yield from _of_norm(spec, weights)
        case "mlp":
            yield from _of_mlp(spec, weights)
        case "head":
            other = replace(spec, tied=not spec.tied)
            words = "a head of its own" if spec.tied else "the embedding as its head"
            yield _Mistake(words, other, weights)


def _of_rotary(
    record: Recording, spec: ForwardSpec, weights: Weights, name: str, rows: Rows
) -> Iterator[_Mistake]:
    import torch

    for base in _BASES:
        rotary = replace(spec.rotary, base=base)
        yield _Mistake(f"the rotary base {base:,.0f}", spec, weights, {"rotary": rotary})
    plain = replace(spec.rotary, scaling=None)
    yield _Mistake("no scaling of positions", spec, weights, {"rotary": plain})
    if (scaling := spec.rotary.scaling) is not None:
        for key, value in _SCALINGS:
            rotary = replace(spec.rotary, scaling={**scaling, key: value})
            words = f"a scaling with the {key} {value:,}"
            yield _Mistake(words, spec, weights, {"rotary": rotary})
    count = len(rows.places)
    right = torch.arange(count, device=rows.places.device)
    began = (right - rows.prompt).clamp(min=0)
    each = [torch.arange(call.given.shape[-1]) for call in record.calls[name]]
    for words, positions in {
        "positions counted twice as far": right * 2,
        "positions counted half as far": right / 2,
        "positions that count the pads": rows.places,
        "all positions 0": right * 0,
        "positions that begin anew in each call": torch.cat(each).to(right.device)[rows.places],
        "the first position 1": right.clamp(min=1),
        "positions of the answer one too far": right + (right >= rows.prompt).long(),
        "positions that begin at 1": right + 1,
        "positions of the answer one too near": right - (right >= rows.prompt).long(),
        "positions of the answer that begin at 0": right.where(right < rows.prompt, began),
    }.items():
        yield _Mistake(words, spec, weights, {"positions": positions})


def _of_attention(spec: ForwardSpec, weights: Weights) -> Iterator[_Mistake]:
    def attention(words: str, **changes: Any) -> _Mistake:
        return _Mistake(words, spec, weights, {"variant": Variant(**changes)})

    yield attention("the scale 1 / sqrt(hidden size)", scale=spec.hidden**-0.5)
    yield attention("the scale 1 / head size", scale=1 / spec.head_size)
    yield attention("no scale", scale=1.0)
    for percent in (-20, -10, -5, 5, 10, 20):
        words = f"a scale {abs(percent)} % too {'large' if percent > 0 else 'small'}"
        yield attention(words, scale=spec.scale * (1 + percent / 100))
    yield attention("no causal mask", ahead=None)
    yield attention("a mask that shows the next token", ahead=1)
    yield attention("key heads tiled, not repeated", tiled_keys=True, tiled_values=True)
    yield attention("the keys' heads alone tiled, not repeated", tiled_keys=True)
    yield attention("the values' heads alone tiled, not repeated", tiled_values=True)
    for cap in _CAPS:
        yield attention(f"scores capped at {cap:g}", cap=cap)
    yield attention("rotary pairs of neighbours", turn=turned_in_neighbours)
    yield attention("rotary angles of the other sign", turn=_turned_back)
    yield attention("only half of each head rotated", turn=_half_turned)
    yield attention("no rotation", turn=lambda states, tables: states)
    if spec.window is not None:
        yield attention("no sliding window", window=None)
        yield attention("a sliding window one too wide", window=spec.window + 1)
        yield attention("a sliding window one too narrow", window=spec.window - 1)
    for window in (16, 32, 64, 128, 2047, 4096):
        yield attention(f"a sliding window of {window}", window=window)
    yield from _without_biases(spec, weights)
    yield _Mistake("keys and values exchanged", spec, _exchanged(weights, "k_proj", "v_proj"))
    yield _Mistake("queries and keys exchanged", spec, _exchanged(weights, "q_proj", "k_proj"))


def turned_in_neighbours(states: Any, tables: tuple[Any, Any]) -> Any:
    """States (heads, tokens, head size) whose neighbours are turned, not their halves."""
    import torch

    half = tables[0].shape[-1] // 2
    cosine, sine = (table[:, :half].repeat_interleave(2, -1) for table in tables)
    other = torch.stack((-states[..., 1::2], states[..., 0::2]), dim=-1).flatten(-2)
    return states * cosine + other * sine


def _turned_back(states: Any, tables: tuple[Any, Any]) -> Any:
    return rotated(states, (tables[0], -tables[1]))


def _half_turned(states: Any, tables: tuple[Any, Any]) -> Any:
    half = tables[0].shape[-1] // 2
    return rotated(states, (tables[0][:, :half], tables[1][:, :half]))


def _of_mlp(spec: ForwardSpec, weights: Weights) -> Iterator[_Mistake]:
    for activation in ACTIVATIONS:
        changes = {"activation": activation}
        yield _Mistake(f"the activation {activation}", spec, weights, changes)
    exchanged = _exchanged(weights, "gate_proj", "up_proj")
    if spec.fused:
        exchanged = _each(weights, lambda weight: weight.roll(spec.inner, 0), "gate_up_proj")
        alternating = _each(weights, _alternating, "gate_up_proj")
        yield _Mistake("gate and up in turn, row by row", spec, alternating)
    yield _Mistake("gate and up exchanged", spec, exchanged)
    yield from _without_biases(spec, weights)


def _alternating(weight: Any) -> Any:
    import torch

    return torch.cat((weight[0::2], weight[1::2]))


def _without_biases(spec: ForwardSpec, weights: Weights) -> Iterator[_Mistake]:
    yield _Mistake("no biases", replace(spec, biased=frozenset()), weights)
    for part in sorted(spec.biased):
        yield _Mistake(f"no bias of {part}", replace(spec, biased=spec.biased - {part}), weights)


def _of_norm(spec: ForwardSpec, weights: Weights) -> Iterator[_Mistake]:
    for epsilon in _EPSILONS:
        yield _Mistake(f"the epsilon {epsilon:g}", replace(spec, epsilon=epsilon), weights)
    if spec.norm == "layer":
        yield _Mistake("a norm without its mean", replace(spec, norm="rms"), weights)
        yield _Mistake("no bias", spec, _each(weights, lambda bias: bias * 0, "bias"))
    yield _Mistake("1 + its weight", spec, _each(weights, lambda weight: weight + 1))
    yield _Mistake("no weight", spec, _each(weights, lambda weight: weight * 0 + 1))


def _each(weights: Weights, change: Callable[[Any], Any], part: str = "weight") -> Weights:
    """The weights with those changed in whose names this part stands."""
    tensor = weights.tensor

    def changed(name: str) -> Any:
        return change(tensor(name)) if part in name.split(".") else tensor(name)

    return replace(weights, tensor=changed)


def _exchanged(weights: Weights, left: str, right: str) -> Weights:
    names, tensor = {left: right, right: left}, weights.tensor

    def exchanged(name: str) -> Any:
        parts = name.split(".")
        return tensor(".".join(names.get(part, part) for part in parts))

    return replace(weights, tensor=exchanged)

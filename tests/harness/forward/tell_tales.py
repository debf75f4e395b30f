"""What a wrong part computes instead: the reference with each known mistake, tried in turn."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from .comparison import Rows, expected_of, kind_of, relative_error, returned
from .recording import Recording
from .reference import ACTIVATIONS, Variant
from .spec import ForwardSpec
from .weights import Weights

_BASES = (10_000.0, 100_000.0, 500_000.0, 1_000_000.0)
_EPSILONS = (0.0, 1e-6, 1e-5, 1e-2)
_CAP = 30.0

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
    record: Recording, spec: ForwardSpec, weights: Weights, name: str, rows: Rows, bound: float
) -> str:
    """The likely cause of a part's error: the mistake that explains it, or what it may be."""
    got = returned(record, name, rows).float()
    right = expected_of(record, spec, weights, name, rows)
    best, cause = max(bound, 1e-30), ""
    for mistake in _mistakes(spec, weights, name, rows):
        try:
            wrong = expected_of(
                record, mistake.spec, mistake.weights, name, rows, **mistake.changes
            )
        except (KeyError, RuntimeError):  # a weight or a shape that this model does not have
            continue
        if (error := relative_error(got, wrong)) < best and not (error and wrong.equal(right)):
            best, cause = error, f"it is the reference with {mistake.words}"
    if not cause:
        factor = float((got * right).sum() / right.square().sum().clamp(min=1e-30))
        if relative_error(got, factor * right) < bound:
            cause = f"it is the reference times {factor:.4g}"
    return cause or _USUAL[kind_of(name)]


def _mistakes(spec: ForwardSpec, weights: Weights, name: str, rows: Rows) -> Iterator[_Mistake]:
    match kind_of(name):
        case "rotary":
            yield from _of_rotary(spec, weights, rows)
        case "attention":
            yield from _of_attention(spec, weights)
        case "norm":
            yield from _of_norm(spec, weights)
        case "mlp":
            for activation in ACTIVATIONS:
                changes = {"activation": activation}
                yield _Mistake(f"the activation {activation}", spec, weights, changes)
            yield _Mistake(
                "gate and up exchanged", spec, _exchanged(weights, "gate_proj", "up_proj")
            )
            yield _Mistake("no biases", replace(spec, biased=frozenset()), weights)
        case "head":
            other = replace(spec, tied=not spec.tied)
            words = "a head of its own" if spec.tied else "the embedding as its head"
            yield _Mistake(words, other, weights)


def _of_rotary(spec: ForwardSpec, weights: Weights, rows: Rows) -> Iterator[_Mistake]:
    import torch

    for base in _BASES:
        rotary = replace(spec.rotary, base=base)
        yield _Mistake(f"the rotary base {base:,.0f}", spec, weights, {"rotary": rotary})
    plain = replace(spec.rotary, scaling=None)
    yield _Mistake("no scaling of positions", spec, weights, {"rotary": plain})
    count = len(rows.places)
    right = torch.arange(count, device=rows.places.device)
    began = (right - rows.prompt).clamp(min=0)
    for words, positions in {
        "positions counted twice as far": right * 2,
        "positions counted half as far": right / 2,
        "positions that begin at 1": right + 1,
        "positions that count the pads": rows.places,
        "all positions 0": right * 0,
        "positions of the answer one too far": right + (right >= rows.prompt).long(),
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
    yield attention("no causal mask", causal=False)
    yield attention("key heads tiled, not repeated", tiled=True)
    yield attention("rotary pairs of neighbours", interleaved=True)
    if spec.window is not None:
        yield attention("no sliding window", window=None)
        yield attention("a sliding window one too wide", window=spec.window + 1)
        yield attention("a sliding window one too narrow", window=spec.window - 1)
    for window in (16, 32, 64, 128, 2047, 4096):
        yield attention(f"a sliding window of {window}", window=window)
    yield _Mistake("no biases", replace(spec, biased=frozenset()), weights)
    yield _Mistake("keys and values exchanged", spec, _exchanged(weights, "k_proj", "v_proj"))


def _of_norm(spec: ForwardSpec, weights: Weights) -> Iterator[_Mistake]:
    for epsilon in _EPSILONS:
        yield _Mistake(f"the epsilon {epsilon:g}", replace(spec, epsilon=epsilon), weights)
    if spec.norm == "layer":
        yield _Mistake("a norm without its mean", replace(spec, norm="rms"), weights)
    yield _Mistake("1 + its weight", spec, _each(weights, lambda weight: weight + 1))
    yield _Mistake("no weight", spec, _each(weights, lambda weight: weight * 0 + 1))


def _each(weights: Weights, change: Callable[[Any], Any]) -> Weights:
    tensor = weights.tensor
    return replace(weights, tensor=lambda name: change(tensor(name)))


def _exchanged(weights: Weights, left: str, right: str) -> Weights:
    names, tensor = {left: right, right: left}, weights.tensor

    def exchanged(name: str) -> Any:
        parts = name.split(".")
        return tensor(".".join(names.get(part, part) for part in parts))

    return replace(weights, tensor=exchanged)

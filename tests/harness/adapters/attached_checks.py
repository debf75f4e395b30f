"""Judges an adapter on its base: what peft made of it, what it adds, and what a merge left."""

import re
from collections.abc import Iterable

from ..errors import fail
from ..memory.adapter import adapter_bytes, explain_adapter
from ..memory.footprint import footprint
from .attached import Attached, Layer
from .merging import Merged

# ||got - expected|| / ||delta|| of a layer in a forward pass in NF4. On random adapters it was 0:
# each rounding is done as peft does it. A scale that is wrong by 2 % is found.
DELTA_BOUND = 0.02
_NEAR = 0.1  # share by which a scale that fits may be off where the sum was rounded


def check_messages(attached: Attached) -> None:
    """Fail if attaching it printed, logged or warned anything."""
    if attached.messages:
        fail(
            attached.label,
            f"attaching it printed {attached.messages[0]!r:.300}; expected no output "
            f"({len(attached.messages)} messages)",
            *attached.messages[1:10],
        )


def check_wrapped(attached: Attached) -> None:
    """Fail unless peft wrapped every target and no other layer, with the file's own matrices."""
    targets, layers = attached.adapter.targets, attached.layers
    missing = [name for name in targets if name not in layers]
    extra = [name for name in layers if name not in targets]
    if missing or extra:
        which = f"{missing[0]} is not wrapped" if missing else f"{extra[0]} is wrapped"
        expected = "every target" if missing else "the targets alone"
        fail(
            attached.label,
            f"{which}, expected {expected} ({len(missing or extra)} such layers, "
            f"{len(targets)} targets)",
            cause="peft reads target_modules otherwise, or leaves a kind of layer out",
        )
    for name, target in targets.items():
        if layers[name].rank != target.rank:
            what = f"{name} has rank {layers[name].rank}, expected {target.rank}"
            fail(attached.label, what, cause="peft reads r or rank_pattern otherwise")
    dtypes = [(name, layer) for name, layer in layers.items() if set(layer.dtypes) != {"float32"}]
    if dtypes:
        name, layer = dtypes[0]
        fail(
            attached.label,
            f"{name} holds its matrices in {' and '.join(layer.dtypes)}, expected float32 "
            f"({len(dtypes)} of {len(layers)} layers)",
            cause="autocast_adapter_dtype is off, or peft casts otherwise",
        )
    _check_held(attached, layers)


def _check_held(attached: Attached, layers: dict[str, Layer]) -> None:
    others = [(name, layer.holds) for name, layer in layers.items() if layer.holds != name]
    if others:
        name, holds = others[0]
        fail(
            attached.label,
            f"{name} holds the matrices of {holds or 'no layer of the file'}, expected its own "
            f"({len(others)} such layers)",
            cause="peft puts the file's tensors elsewhere"
            if holds
            else "peft did not read them, or changed them",
        )


def describe(attached: Attached) -> str:
    """Its bytes, and how far it is from what was computed: a line for the end of a run."""
    adapter = attached.adapter
    parameters = sum(target.parameters for target in adapter.targets.values())
    computed = footprint(adapter.base, "nf4").total + adapter_bytes(parameters)
    worst = max((delta.error for delta in attached.deltas.values()), default=0.0)
    return (
        f"{attached.label}: {parameters:,} parameters, {attached.footprint:,} B with the base "
        f"({computed:,} computed), products differ by {worst:.2g}, a merge into 4 bit loses "
        f"{attached.four_bit.lost:.0%} of a delta"
    )


def describe_merge(merged: Merged) -> str:
    """How far merged weights are from the sum: a line for the end of a run."""
    worst = max(merged.worst.values(), default=0.0)
    return f"{merged.label}: merged within {worst:.2g} of the bound, {merged.noise:.0%} of a delta"


def check_bytes(attached: Attached) -> None:
    """Fail unless base and adapter take the computed bytes, to the byte."""
    adapter = attached.adapter
    base = footprint(adapter.base, "nf4").total
    by_layer = {layer: target.parameters for layer, target in adapter.targets.items()}
    parameters = sum(by_layer.values())
    expected = base + adapter_bytes(parameters)
    if attached.footprint != expected:
        fail(
            attached.label,
            f"get_memory_footprint() got {attached.footprint:,} B, expected {expected:,} = "
            f"{base:,} of the base + {parameters:,} parameters x 4",
            cause=explain_adapter(attached.footprint - expected, by_layer, base),
        )


def check_deltas(attached: Attached) -> None:
    """Fail unless each layer adds B A x scale to its base's output, as computed independently."""
    targets = attached.adapter.targets
    if unrun := [name for name in targets if name not in attached.deltas]:
        what = f"{unrun[0]} was not run, expected every target ({len(unrun)} such layers)"
        fail(attached.label, what, cause="the layer is not wrapped, or bypassed")
    wrong = {n: d for n, d in attached.deltas.items() if not d.error <= DELTA_BOUND}
    if not wrong:
        return
    name = next(iter(wrong))
    got, right = wrong[name].scale, targets[name].scale
    fail(
        attached.label,
        f"{name} adds {got:.4g} x B A x, expected {right:.4g} x B A x: differs by "
        f"{wrong[name].error:.2g}, bound {DELTA_BOUND:g} ({len(wrong)} of {len(targets)} layers)",
        cause=_scale_cause(attached, name, got),
    )


def _scale_cause(attached: Attached, name: str, got: float) -> str:
    settings, layer = attached.adapter.settings, attached.layers.get(name)
    rank = settings.rank_of(name)
    alpha = settings.scale(name) * (rank**0.5 if settings.rslora else rank)
    plain, rooted = alpha / rank, alpha / rank**0.5
    causes = {
        "the adapter is switched off, or adds nothing": 0.0,
        "rslora is ignored: alpha / r in place of alpha / sqrt(r)"
        if settings.rslora
        else "alpha / sqrt(r) in place of alpha / r": plain if settings.rslora else rooted,
        "alpha is ignored": 1.0,
        "alpha is not divided by the rank": alpha,
    }
    if layer and layer.in_training:
        return "dropout is active: the adapter was left in training mode"
    if layer and layer.holds != name:
        return f"it holds the matrices of {layer.holds or 'no layer of the file'}"
    for cause, scale in causes.items():
        if abs(got - scale) <= _NEAR * max(abs(scale), abs(settings.scale(name))):
            return cause
    if abs(got - settings.scale(name)) > _NEAR * abs(settings.scale(name)):
        return "another alpha or rank is applied than adapter_config.json says"
    return "other matrices, or another input, are multiplied"


def check_effect(attached: Attached) -> None:
    """Fail if the adapter leaves the logits as they are, or gives others when asked again."""
    if not attached.changes_logits:
        what = "the logits with the adapter are those of the base, expected others"
        fail(attached.label, what, cause="it is switched off, or all zero")
    if not attached.repeats:
        active = [name for name, layer in attached.layers.items() if layer.in_training]
        dropout = f"dropout is active in {len(active)} layers, first {active[0]}" if active else ""
        fail(
            attached.label,
            "the same text again, got other logits, expected the same bits",
            cause=dropout or "a kernel is not repeatable on this device",
        )


def check_off(attached: Attached) -> None:
    """Fail unless it can be switched off and on, and taken off, without a trace."""
    ways = {
        "switched off by disable_adapter(): got other logits than the base's": attached.off_is_base,
        "on again after disable_adapter(): got other logits than before": attached.on_again,
        "taken off by unload(): got other logits than the base's": attached.unloaded_is_base,
    }
    causes = (
        "a layer goes on adding its delta, or the base was changed",
        "disable_adapter() leaves something off, or merged",
        "unload() leaves wrappers, or the base was changed",
    )
    for (what, holds), cause in zip(ways.items(), causes, strict=True):
        if not holds:
            fail(attached.label, f"{what}, expected the same bits", cause=cause)


_REASON = re.compile("4.?bit|quantiz|round", re.IGNORECASE)


def check_four_bit_merge(attached: Attached) -> None:
    """Fail if it is merged into 4 bit without a word of what that loses."""
    merge = attached.four_bit
    said: Iterable[str] = (merge.refused, *merge.messages)
    if not any(map(_REASON.search, said)):
        fail(
            attached.label,
            f"{merge.layer} was merged into 4 bit without a word, and {merge.lost:.0%} of its "
            "delta was lost to rounding; expected a refusal or a warning",
            cause="peft no longer says that 4 bit cannot hold the sum: merge into bf16",
        )


def check_merge(merged: Merged) -> None:
    """Fail unless each merged weight is W + delta, rounded, and nothing else changed."""
    if wrong := [name for name, worst in merged.worst.items() if not worst <= 1]:
        name = max(wrong, key=merged.worst.__getitem__)
        fail(
            merged.label,
            f"{name}: a merged weight errs by {merged.worst[name]:.3g} times its bound, expected "
            f"W + delta rounded to bf16 ({len(wrong)} of {len(merged.worst)} layers)",
            cause="the merge scales otherwise, takes other matrices, or computes in less than "
            "float32",
        )
    if merged.moved or merged.left:
        what = f"{merged.moved[0]} changed" if merged.moved else f"{merged.left} wrappers are left"
        fail(merged.label, f"after the merge {what}, expected the targets alone to change")

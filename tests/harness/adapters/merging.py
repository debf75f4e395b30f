"""An adapter merged into its base in bf16, weight by weight against an own sum in float32."""

from dataclasses import dataclass
from typing import Any

from ..model.fingerprints import digest
from ..model.loading import LoadedModel
from ..sources.shards import stored_tensor, tensor_files
from .attached import attach, wrappers
from .folder import Adapter

# Half a step of bf16's 8 significant bits, relative; and what sums in float32 may add.
_ROUNDOFF = 2**-8
_SLACK = 2**-18


@dataclass(frozen=True)
class Merged:
    """What `merge_and_unload` made of a base in bf16.

    `worst` is by layer the largest |got - (W + delta)| of a weight in units of its bound; `noise`
    the largest ||got - (W + delta)|| / ||delta|| of a layer.
    """

    adapter: Adapter
    label: str
    worst: dict[str, float]
    noise: float
    moved: tuple[str, ...]  # weights beside the targets whose bits changed
    left: int  # modules of peft that are still there


def observe_merge(loaded: LoadedModel, model: Any, adapter: Adapter) -> Merged:
    """Merge an adapter, compare every weight, and give the targets the checkpoint's again.

    peft rounds delta = scale x B A to bf16, adds it to W, and rounds the sum: each weight errs by
    at most 2**-8 of its value and 2**-8 of its delta. LoadError as `attach`.
    """
    targets = {f"{layer}.weight" for layer in adapter.targets}

    def others() -> dict[str, str]:
        named = dict([*model.named_parameters(), *model.named_buffers()])
        return {name: digest(value) for name, value in named.items() if name not in targets}

    before = others()
    wrapped, _ = attach(loaded, model, adapter)
    merged = wrapped.merge_and_unload()
    after = others()
    stored = tensor_files(loaded.weights.folder)
    weights = dict(merged.named_parameters())
    worst, noise = {}, 0.0
    for layer, a, b in adapter.matrices(str(merged.device)):
        name = f"{layer}.weight"
        base = stored_tensor(stored, name, str(merged.device))
        delta = (b @ a) * adapter.targets[layer].scale
        worst[layer], error = compare_sum(weights[name].detach().float(), base.float(), delta)
        weights[name].data.copy_(base)
        noise = max(noise, error)
    return Merged(
        adapter=adapter,
        label=f"{loaded.key}: {loaded.device} {loaded.load}, {adapter.note}",
        worst=worst,
        noise=noise,
        moved=tuple(name for name in before if after.get(name) != before[name]),
        left=len(wrappers(merged)),
    )


def compare_sum(got: Any, base: Any, delta: Any) -> tuple[float, float]:
    """The largest error of a weight in units of its bound, and ||error|| / ||delta||."""
    expected = base + delta
    error = (got - expected).abs()
    bound = (_ROUNDOFF + _SLACK) * (expected.abs() + delta.abs()) + 1e-30
    return float((error / bound).max()), float(error.norm() / delta.norm().clamp(min=1e-30))

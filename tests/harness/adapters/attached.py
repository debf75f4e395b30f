"""What peft makes of an adapter on a loaded model: everything is measured at once, then let go.

Tests judge what is kept here. The model is not fit for others after it, and is to be unloaded.
"""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from ..errors import LoadError
from ..model.error_bounds import quantized_layers
from ..model.loading import LoadedModel
from ..model.messages import capture_messages
from ..text import error_line
from .folder import PREFIX, Adapter

_FOR_OTHERS = ("warning FutureWarning:", "warning DeprecationWarning:")
_TOKENS = 16  # of the prompt: every layer is run, and each forward pass stays short


@dataclass(frozen=True)
class Layer:
    """A layer that peft wrapped."""

    rank: int
    scale: float
    dtypes: tuple[str, ...]  # of its two matrices
    holds: str  # the layer whose matrices of the file it holds; empty: those of none
    in_training: bool  # whether its dropout is active


@dataclass(frozen=True)
class Delta:
    """What a wrapped layer added to its base's output in a forward pass, against B A x scale.

    `error` is ||got - expected|| / ||B A x scale||; `scale` the one that fits what was added best.
    """

    error: float
    scale: float


@dataclass(frozen=True)
class FourBitMerge:
    """What came of merging one layer into 4 bit: what was said, and the share of it that is lost.

    `lost` is ||merged - (base + delta)|| / ||delta||.
    """

    layer: str
    refused: str  # the error, if there was one
    messages: tuple[str, ...]
    lost: float


@dataclass(frozen=True)
class Attached:
    """What was measured of an adapter on a model; logits are compared bit for bit."""

    adapter: Adapter
    label: str
    messages: tuple[str, ...]  # of attaching it
    footprint: int  # get_memory_footprint() of base and adapter
    layers: dict[str, Layer]  # by the name that they have in the base
    deltas: dict[str, Delta]
    changes_logits: bool
    repeats: bool
    off_is_base: bool  # within disable_adapter()
    on_again: bool  # after it
    unloaded_is_base: bool  # after unload()
    four_bit: FourBitMerge


def attach(loaded: LoadedModel, model: Any, adapter: Adapter) -> tuple[Any, tuple[str, ...]]:
    """A base with an adapter, by the task's own call of peft, and what was said.

    What libraries tell each other's developers is left out. LoadError if peft cannot do it, or is
    not installed.
    """
    try:
        import peft
    except ImportError:
        fix = "pip install -r requirements.txt"
        raise LoadError(
            f"{loaded.key}: adapters need peft, which is not installed: {fix}"
        ) from None
    if not adapter.fits:
        raise LoadError(f"{adapter.label} is not attached: its file is not that of its settings")
    try:
        with capture_messages() as messages:
            wrapped = peft.PeftModel.from_pretrained(
                model, str(adapter.folder), torch_device=str(model.device)
            )
    except (ValueError, KeyError, RuntimeError, TypeError) as error:
        what = f"peft {peft.__version__} cannot attach it ({error_line(error)})"
        raise LoadError(f"{adapter.label}: {what}") from None
    return wrapped, tuple(message for message in messages if not message.startswith(_FOR_OTHERS))


def observe(
    loaded: LoadedModel, model: Any, adapters: list[Adapter], prompt: str
) -> list[Attached]:
    """Attach each adapter, measure all that tests judge, and take it off; LoadError as `attach`.

    The model must not have been run. On processors with AVX512-BF16 the first use of a 4-bit layer
    lays it out otherwise; attaching turns that back, and rounds the absmax values to bf16. So each
    adapter is attached to the layers as they were loaded.
    """
    ids = loaded.tokenizer(prompt, return_tensors="pt")["input_ids"]
    ids = ids[:, :_TOKENS].to(model.device)
    restore = _as_loaded(model) if loaded.device == "cpu" else lambda: None
    base = _logits(model, ids)
    found = []
    for adapter in adapters:
        restore()
        found.append(_observe(loaded, model, adapter, ids, base))
    return found


def _as_loaded(model: Any) -> Callable[[], None]:
    """What gives a model's 4-bit layers the layout back that they have now."""
    kept = [
        (module.weight, module.weight.data, deepcopy(module.weight.quant_state))
        for _, module in quantized_layers(model)
        if hasattr(module.weight, "quant_state")
    ]

    def restore() -> None:
        for weight, data, state in kept:
            weight.data, weight.quant_state = data, deepcopy(state)

    return restore


def _observe(loaded: LoadedModel, model: Any, adapter: Adapter, ids: Any, base: Any) -> Attached:
    import torch

    before = model.get_memory_footprint()
    wrapped, messages = attach(loaded, model, adapter)
    footprint = loaded.measured.footprint + model.get_memory_footprint() - before
    layers = dict(_layers_of(wrapped, adapter))
    four_bit = _merge_in_four_bits(wrapped, adapter)
    deltas: dict[str, Delta] = {}
    with _recording(wrapped, adapter, deltas):
        on = _logits(wrapped, ids)
    again = _logits(wrapped, ids)
    with wrapped.disable_adapter():
        off = _logits(wrapped, ids)
    after = _logits(wrapped, ids)
    unloaded = _logits(wrapped.unload(), ids)
    return Attached(
        adapter=adapter,
        label=f"{loaded.key}: {loaded.device} {loaded.load}, {adapter.note}",
        messages=messages,
        footprint=footprint,
        layers=layers,
        deltas=deltas,
        changes_logits=not torch.equal(on, base),
        repeats=torch.equal(on, again),
        off_is_base=torch.equal(off, base),
        on_again=torch.equal(after, on),
        unloaded_is_base=torch.equal(unloaded, base),
        four_bit=four_bit,
    )


def _logits(model: Any, ids: Any) -> Any:
    import torch

    with torch.inference_mode():
        return model(input_ids=ids, use_cache=False).logits.clone()


def wrappers(wrapped: Any) -> dict[str, Any]:
    """The modules that peft put in place of the base's layers, by the layers' names."""
    from peft.tuners.lora import LoraLayer

    return {
        name.removeprefix(PREFIX): module
        for name, module in wrapped.named_modules()
        if isinstance(module, LoraLayer)
    }


def _layers_of(wrapped: Any, adapter: Adapter) -> Iterator[tuple[str, Layer]]:
    import torch

    name = wrapped.active_adapter
    device = str(wrapped.device)
    stored = {layer: (a, b) for layer, a, b in adapter.matrices(device)}

    def holds(layer: str, own: list[Any]) -> str:
        def is_it(other: str) -> bool:
            return all(map(torch.equal, own, stored[other]))

        candidates = [layer] if layer in stored else []
        candidates += [other for other in stored if other != layer]
        return next(filter(is_it, candidates), "")

    for layer, module in wrappers(wrapped).items():
        parts = [getattr(module, part) for part in ("lora_A", "lora_B")]
        held = [part[name].weight.detach() for part in parts if name in part]
        yield (
            layer,
            Layer(
                rank=module.r.get(name, 0),
                scale=float(module.scaling.get(name, 0.0)),
                dtypes=tuple(str(weight.dtype).removeprefix("torch.") for weight in held),
                holds=holds(layer, [weight.float() for weight in held]) if len(held) == 2 else "",
                in_training=any(part.training for part in module.lora_dropout.values()),
            ),
        )


@contextmanager
def _recording(wrapped: Any, adapter: Adapter, deltas: dict[str, Delta]) -> Iterator[None]:
    """While a model runs, compare what each target adds with an own computation in float32.

    The product and the sum are each rounded once to the layer's dtype, as peft does it: what is
    left of rounding is the order in which float32 sums are made.
    """
    modules, bases, hooks = wrappers(wrapped), dict[str, Any](), list[Any]()

    def hook_on(layer: str, scale: float, a: Any, b: Any) -> None:
        def keep(_module: Any, _inputs: Any, output: Any) -> None:
            bases[layer] = output.detach().clone()

        def compare(_module: Any, inputs: Any, output: Any) -> None:
            base = bases.pop(layer, None)
            if base is not None:
                delta = (inputs[0].detach().float() @ a.T @ b.T) * scale
                deltas[layer] = _compared(base, output.detach(), delta, scale)

        hooks.append(modules[layer].get_base_layer().register_forward_hook(keep))
        hooks.append(modules[layer].register_forward_hook(compare))

    for layer, a, b in adapter.matrices(str(wrapped.device)):
        if layer in modules:
            hook_on(layer, adapter.targets[layer].scale, a, b)
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _compared(base: Any, output: Any, delta: Any, scale: float) -> Delta:
    expected = base + delta.to(base.dtype)
    size = float(delta.norm())
    added = (output - base).float()
    if size == 0.0:
        return Delta(error=float(added.norm()), scale=scale)
    fitting = float((added * delta).sum() / (delta * delta).sum())
    return Delta(float((output - expected).float().norm()) / size, scale * fitting)


def _merge_in_four_bits(wrapped: Any, adapter: Adapter) -> FourBitMerge:
    """Merge the first target into its layer in 4 bit, and put the layer back as it was."""
    from bitsandbytes.functional import dequantize_4bit

    layer, a, b = next(adapter.matrices(str(wrapped.device)))
    module = wrappers(wrapped)[layer]
    base = module.get_base_layer()
    kept = base.weight
    delta = (b @ a) * adapter.targets[layer].scale
    before = dequantize_4bit(kept.data, kept.quant_state).float()
    refused, lost = "", 0.0
    with warnings.catch_warnings(), capture_messages() as messages:
        try:
            module.merge()
        except Exception as error:  # a refusal, by whatever class
            refused = error_line(error)
    if not refused:
        after = dequantize_4bit(base.weight.data, base.weight.quant_state).float()
        lost = float((after - (before + delta)).norm() / delta.norm().clamp(min=1e-30))
    base.weight = kept
    module.merged_adapters.clear()
    return FourBitMerge(layer, refused, tuple(messages), lost)

"""Faults in what peft makes of an adapter: which layers, with what, switched how, merged how."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ..places import Function, change_result, set_existing
from ..places import replace as replace_place


def after_attaching(change: Callable[[Any], None]) -> None:
    """Change every adapter that peft attaches from now on."""
    from peft import PeftModel

    def changed(wrapped: Any) -> Any:
        change(wrapped)
        return wrapped

    change_result(PeftModel, "from_pretrained", changed)


def _layers(wrapped: Any) -> dict[str, Any]:
    from peft.tuners.lora import LoraLayer

    return {name: m for name, m in wrapped.named_modules() if isinstance(m, LoraLayer)}


def warns_of_missing_keys() -> None:
    """Peft says that it did not find all that it looked for."""
    after_attaching(lambda _: warnings.warn("Found missing adapter keys", stacklevel=1))


def layer_wrapped_beside(name: str) -> None:
    """A pattern that fits more layers than the settings name."""
    _existing(lambda right, key: right or key.endswith(name))


def layer_left_out(name: str) -> None:
    """A layer that the settings name is not wrapped."""
    _existing(lambda right, key: right and not key.endswith(name))


def _existing(decide: Callable[[Any, str], Any]) -> None:
    from peft.tuners.tuners_utils import BaseTuner

    def make(right: Function) -> Function:
        return lambda config, key: decide(right(config, key), key)

    _replace_static(BaseTuner, "_check_target_module_exists", make)


def _replace_static(owner: Any, name: str, make: Callable[[Function], Function]) -> None:
    replace_place(owner, name, make)
    setattr(owner, name, staticmethod(getattr(owner, name)))


def layers_exchanged(one: str, other: str) -> None:
    """Two layers hold each other's matrices."""

    def change(wrapped: Any) -> None:
        layers = _layers(wrapped)
        first, second = (next(m for n, m in layers.items() if n.endswith(e)) for e in (one, other))
        for part in ("lora_A", "lora_B"):
            mine, its = (getattr(layer, part)["default"] for layer in (first, second))
            mine.weight.data, its.weight.data = its.weight.data, mine.weight.data

    after_attaching(change)


def in_bf16() -> None:
    """The adapter is kept in the dtype of the base."""

    def change(wrapped: Any) -> None:
        for layer in _layers(wrapped).values():
            layer.lora_A.bfloat16()
            layer.lora_B.bfloat16()

    after_attaching(change)


def scale_times(factor: float) -> None:
    """Another alpha is applied than the settings say."""

    def change(wrapped: Any) -> None:
        for layer in _layers(wrapped).values():
            set_existing(layer, "scaling", {n: factor * s for n, s in layer.scaling.items()})

    after_attaching(change)


def rslora_ignored() -> None:
    """The scale is alpha / r whatever the settings say."""

    def change(wrapped: Any) -> None:
        for layer in _layers(wrapped).values():
            set_existing(layer, "scaling", {n: layer.lora_alpha[n] / layer.r[n] for n in layer.r})

    after_attaching(change)


def dropout_active() -> None:
    """The adapter is left in training mode."""

    def change(wrapped: Any) -> None:
        for layer in _layers(wrapped).values():
            layer.lora_dropout.train()

    after_attaching(change)


def left_off() -> None:
    """The adapter is attached and not switched on."""
    after_attaching(lambda wrapped: wrapped.base_model.disable_adapter_layers())


def off_does_nothing() -> None:
    """`disable_adapter` that does not reach the layers."""

    @contextmanager
    def nothing(self: Any) -> Iterator[None]:
        yield

    _replace_method("disable_adapter", lambda _: nothing)


def stays_off() -> None:
    """`disable_adapter` that does not switch on again."""

    @contextmanager
    def off(self: Any) -> Iterator[None]:
        self.base_model.disable_adapter_layers()
        yield

    _replace_method("disable_adapter", lambda _: off)


def _replace_method(name: str, make: Callable[[Function], Function]) -> None:
    from peft import PeftModel

    replace_place(PeftModel, name, make)


def wrappers_left() -> None:
    """`unload` that leaves the adapter's layers in the model."""
    from peft.tuners.lora import LoraModel

    replace_place(LoraModel, "unload", lambda _: lambda self: self.model)


def silent_in_four_bits() -> None:
    """A merge into 4 bit that says nothing."""
    from peft.tuners.lora.bnb import Linear4bit

    def make(right: Function) -> Function:
        def faulty(self: Any, *args: Any, **given: Any) -> None:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                right(self, *args, **given)

        return faulty

    replace_place(Linear4bit, "merge", make)


def merged_times(factor: float) -> None:
    """A merge with another scale than that of the forward pass."""
    from peft.tuners.lora.layer import Linear

    change_result(Linear, "get_delta_weight", lambda delta: delta * factor)


def merged_in_bf16() -> None:
    """A merge whose products are rounded to bf16."""
    from peft.tuners.lora.layer import Linear

    def make(right: Function) -> Function:
        def faulty(self: Any, adapter: str) -> Any:
            a, b = (part[adapter].weight.bfloat16() for part in (self.lora_A, self.lora_B))
            return (b @ a * self.scaling[adapter]).to(right(self, adapter).dtype)

        return faulty

    replace_place(Linear, "get_delta_weight", make)


def merge_moves_a_norm() -> None:
    """A merge that changes what is no target."""
    from peft.tuners.lora import LoraModel

    def changed(merged: Any) -> Any:
        merged.model.norm.weight.data[0] += 1
        return merged

    change_result(LoraModel, "merge_and_unload", changed)

"""Faults in the call of `generate` and in the forward pass."""

import re
from collections.abc import Callable
from importlib import import_module
from typing import Any

from .places import Function, change_result, replace, set_existing


def forward_changed(noise: float = 0.0, unset: str = "") -> None:
    """Change what the model's forward is given, or add noise to its logits."""
    import torch
    from transformers import LlamaForCausalLM

    source = torch.Generator()
    source.seed()  # which the task's own seed does not reach

    def make(right: Function) -> Function:
        def faulty(*args: Any, **given: Any) -> Any:
            output = right(*args, **given | _unset(unset))
            if noise:
                output.logits += noise * torch.rand(output.logits.shape, generator=source)
            return output

        return faulty

    replace(LlamaForCausalLM, "forward", make, tuple(_unset(unset)))


def _unset(keyword: str) -> dict[str, None]:
    return {keyword: None} if keyword else {}


def _replace_generate(make: Callable[[Function], Function]) -> None:
    from transformers import GenerationMixin

    replace(GenerationMixin, "generate", make)


def generate_changed(unset: str = "", **changes: Any) -> None:
    """A call of generate with arguments that nobody gave."""
    changes |= _unset(unset)
    _replace_generate(lambda right: lambda *args, **given: right(*args, **given | changes))


def prompt_cut_off() -> None:
    """Only the new tokens come back, as pipelines do."""
    _replace_generate(lambda right: lambda *args, **given: right(*args, **given)[:, 1:])


def _before_generate(act: Callable[[], Any]) -> None:
    def make(right: Function) -> Function:
        def faulty(*args: Any, **given: Any) -> Any:
            act()
            return right(*args, **given)

        return faulty

    _replace_generate(make)


def seed_inside() -> None:
    """A generate that seeds itself: every seed gives the same answer."""
    from transformers import set_seed

    _before_generate(lambda: set_seed(0))


def seed_lost() -> None:
    """A generate that draws from a source that no seed reaches."""
    import torch

    _before_generate(torch.seed)


def generate_says_something() -> None:
    """A warning of a new version on every call."""
    from transformers.utils import logging

    warn = logging.get_logger("transformers.generation").warning
    _before_generate(lambda: warn("this way of calling is deprecated"))


def rows_of_a_greedy_call_not_checked() -> None:
    """num_return_sequences of a greedy call is passed over."""

    def make(right: Function) -> Function:
        def faulty(*args: Any, **given: Any) -> Any:
            if not given.get("do_sample"):
                given.pop("num_return_sequences", None)
            return right(*args, **given)

        return faulty

    _replace_generate(make)


def prompt_echoed() -> None:
    """The reply is decoded with the question in front."""
    generation = import_module("tests.harness.model.generation")
    question = "How much does this cost to the nearest dollar?"
    change_result(generation, "decoded", lambda text: question + text)


def call_changed(unset: str) -> None:
    """The task's call without an argument."""

    def make(right: Function) -> Function:
        return lambda *args, **given: right(*args, **given | {unset: None})

    replace(import_module("tests.harness.plugins.models"), "predict", make, (unset,))


def pad_not_set() -> None:
    """A model whose pad token is left to a default."""
    from tests.harness.model.loading import ModelSlot

    def make(right: Function) -> Function:
        def faulty(self: Any, *args: Any) -> Any:
            loaded = right(self, *args)
            set_existing(self.model.generation_config, "pad_token_id", None)
            return loaded

        return faulty

    replace(ModelSlot, "load", make)


def first_number_is_read() -> None:
    """A price that is the first number of what it is read from."""

    def make(right: Function) -> Function:
        def first(text: str) -> float | None:
            number = re.search(r"\d+", text)
            return float(number[0]) if number else None

        return lambda *args, **given: right(*args, **{"read": first} | given)

    replace(import_module("tests.harness.checks.prices"), "check_reading", make, ("read",))

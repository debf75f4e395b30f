"""Faults in the call of `generate` and in the forward pass; `quantizing_faults` says on what."""

import re
from collections.abc import Callable
from importlib import import_module
from typing import Any


def forward_changed(noise: float = 0.0, unset: str = "") -> None:
    """Change what the model's forward is given, or add noise to its logits."""
    import torch
    from transformers import LlamaForCausalLM

    forward, source = LlamaForCausalLM.forward, torch.Generator()
    source.seed()  # which the task's own seed does not reach

    def faulty(self: Any, *args: Any, **given: Any) -> Any:
        output = forward(self, *args, **given | ({unset: None} if unset else {}))
        if noise:
            output.logits += noise * torch.rand(output.logits.shape, generator=source)
        return output

    LlamaForCausalLM.forward = faulty


def generate_changed(unset: str = "", **changes: Any) -> None:
    """A call of generate with arguments that nobody gave."""
    from transformers import GenerationMixin

    right = GenerationMixin.generate

    def faulty(self: Any, *args: Any, **given: Any) -> Any:
        return right(self, *args, **given | changes | ({unset: None} if unset else {}))

    GenerationMixin.generate = faulty


def answer_changed(change: Callable[[Any], Any]) -> None:
    """Another output of generate."""
    from transformers import GenerationMixin

    right = GenerationMixin.generate

    def faulty(self: Any, *args: Any, **given: Any) -> Any:
        return change(right(self, *args, **given))

    GenerationMixin.generate = faulty


def prompt_cut_off() -> None:
    """Only the new tokens come back, as pipelines do."""
    answer_changed(lambda output: output[:, 1:])


def seed_inside() -> None:
    """A generate that seeds itself: every seed gives the same answer."""
    from transformers import GenerationMixin, set_seed

    right = GenerationMixin.generate

    def faulty(self: Any, *args: Any, **given: Any) -> Any:
        set_seed(0)
        return right(self, *args, **given)

    GenerationMixin.generate = faulty


def seed_lost() -> None:
    """A generate that draws from a source that no seed reaches."""
    from transformers import GenerationMixin

    right = GenerationMixin.generate

    def faulty(self: Any, *args: Any, **given: Any) -> Any:
        import torch

        torch.seed()
        return right(self, *args, **given)

    GenerationMixin.generate = faulty


def generate_says_something() -> None:
    """A warning of a new version on every call."""
    from transformers.utils import logging

    say = logging.get_logger("transformers.generation").warning

    def said(output: Any) -> Any:
        say("this way of calling is deprecated")
        return output

    answer_changed(said)


def rows_of_a_greedy_call_not_checked() -> None:
    """num_return_sequences of a greedy call is passed over."""
    from transformers import GenerationMixin

    right = GenerationMixin.generate

    def faulty(self: Any, *args: Any, **given: Any) -> Any:
        if not given.get("do_sample"):
            given.pop("num_return_sequences", None)
        return right(self, *args, **given)

    GenerationMixin.generate = faulty


def prompt_echoed() -> None:
    """The reply is decoded with the question in front."""
    from tests.harness.model import generation

    decoded = generation.decoded
    question = "How much does this cost to the nearest dollar?"
    generation.decoded = lambda *args: question + decoded(*args)


def call_changed(unset: str) -> None:
    """The task's call without an argument."""
    asking: Any = import_module("tests.harness.plugins.models")
    right = asking.predict
    asking.predict = lambda *args, **given: right(*args, **given | {unset: None})


def pad_not_set() -> None:
    """A model whose pad token is left to a default."""
    from tests.harness.model.loading import ModelSlot

    slot: Any = ModelSlot
    right = slot.put

    def faulty(self: Any, *args: Any) -> Any:
        live = right(self, *args)
        self.model.generation_config.pad_token_id = None
        return live

    slot.put = faulty


def first_number_is_read() -> None:
    """A price that is the first number of what it is read from."""
    verdicts: Any = import_module("tests.harness.checks.prices")

    def first(text: str) -> float | None:
        found = re.search(r"\d+", text)
        return float(found[0]) if found else None

    verdicts.check_reading.__defaults__ = (first,)

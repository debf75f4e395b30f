"""Faults in the model that `AutoModelForCausalLM` makes of a checkpoint."""

import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

from .places import change_result


def after_model_load(change: Callable[[Any], None]) -> None:
    """Change every model that `AutoModelForCausalLM` loads from now on."""
    from transformers import AutoModelForCausalLM

    def changed(loaded: Any) -> Any:
        change(loaded[0] if isinstance(loaded, tuple) else loaded)
        return loaded

    change_result(AutoModelForCausalLM, "from_pretrained", changed)


def embeddings_in_fp32() -> None:
    """Some modules are kept in full precision."""
    after_model_load(lambda model: model.model.embed_tokens.float())


def row_added() -> None:
    """Room for a pad token that nobody asked for."""
    after_model_load(
        lambda model: model.resize_token_embeddings(
            model.config.vocab_size + 1, mean_resizing=False
        )
    )


def buffer_added() -> None:
    """A buffer that another version registers."""
    import torch

    after_model_load(lambda model: model.model.register_buffer("mask", torch.zeros(64, 64)))


def weights_of_another_checkpoint() -> None:
    """One layer's weights are not those of the file."""

    def roll(model: Any) -> None:
        weight = model.model.layers[1].mlp.up_proj.weight
        weight.data = weight.data.flip(0)

    after_model_load(roll)


def model_kept_alive() -> None:
    """A cache of the library that holds the model for ever."""
    kept: list[Any] = []
    after_model_load(kept.append)


def load_says_something() -> None:
    """A warning of a new version while loading."""
    from transformers.utils import logging

    say = logging.get_logger("transformers.modeling_utils").warning
    after_model_load(lambda model: say("this way of loading is deprecated"))


def code_from_the_hub() -> None:
    """A module of a repository was imported while loading."""
    after_model_load(
        lambda _: sys.modules.update({"transformers_modules.planted": ModuleType("planted")})
    )


def head_rolled() -> None:
    """A head whose rows stand for other tokens."""

    def roll(model: Any) -> None:
        model.lm_head.weight.data = model.lm_head.weight.data.roll(100, 0)

    after_model_load(roll)

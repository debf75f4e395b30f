"""Faults in masks, caches and choices, which only some ways to call a model show."""

from copy import copy
from typing import Any

from .forward import class_of, code_of
from .places import Function, change_result, replace


def pad_row_zeroed() -> None:
    """Pads that are embedded as zeros, though they are tokens as any other where they are seen."""
    import torch

    def make(right: Function) -> Function:
        def faulty(self: Any, ids: Any) -> Any:
            rows = right(self, ids)
            return rows if self.padding_idx is None else rows * (ids != self.padding_idx)[..., None]

        return faulty

    replace(torch.nn.Embedding, "forward", make)


def mask_one_ahead() -> None:
    """A causal mask that shows each token the next one."""
    import torch

    def make(right: Function) -> Function:
        def faulty(*args: Any, **given: Any) -> Any:
            embeds = given["inputs_embeds"]
            places = torch.arange(embeds.shape[1], device=embeds.device)
            if right(*args, **given) is not None or len(places) == 1:
                return right(*args, **given)
            return (places <= places[:, None] + 1)[None, None]

        return faulty

    replace(code_of("llama"), "create_causal_mask", make)


def mask_of_pieces_at_the_start() -> None:
    """A causal mask for tokens after what is cached, as if nothing were cached."""
    import torch

    def make(right: Function) -> Function:
        def faulty(*args: Any, **given: Any) -> Any:
            mask, count = right(*args, **given), given["inputs_embeds"].shape[1]
            if mask is None or count == 1 or mask.shape[-1] == count:
                return mask
            keys = torch.arange(mask.shape[-1], device=mask.device)
            return (keys <= keys[:count, None])[None, None]

        return faulty

    replace(code_of("llama"), "create_causal_mask", make)


def rotated_backwards() -> None:
    """Queries and keys turned by the angles of the other sign."""
    replace(
        code_of("llama"),
        "apply_rotary_pos_emb",
        lambda right: lambda q, k, cos, sin, *args: right(q, k, cos, -sin, *args),
    )


def mlp_rows_in_turn() -> None:
    """Gate and up, which are one weight, taken row by row."""

    def make(right: Function) -> Function:
        def faulty(self: Any, hidden: Any) -> Any:
            both = self.gate_up_proj(hidden)
            return self.down_proj(self.activation_fn(both[..., 0::2]) * both[..., 1::2])

        return faulty

    replace(class_of("phi3", "MLP"), "forward", make)


def positions_of_each_call() -> None:
    """Positions that begin anew in each call, unless the caller gives them."""
    import torch

    def make(right: Function) -> Function:
        def faulty(self: Any, input_ids: Any = None, **given: Any) -> Any:
            if given.get("position_ids") is None:
                places = torch.arange(input_ids.shape[1], device=input_ids.device)
                given["position_ids"] = places[None]
            return right(self, input_ids, **given)

        return faulty

    replace(class_of("llama", "Model"), "forward", make)


def other_ids_given() -> None:
    """Generation that goes on with another token than it chose."""

    def make(right: Function) -> Function:
        def faulty(self: Any, input_ids: Any = None, **given: Any) -> Any:
            if input_ids.shape[1] == 1:
                input_ids = (input_ids + 1) % self.vocab_size
            return right(self, input_ids, **given)

        return faulty

    replace(class_of("llama", "Model"), "forward", make)


def last_choice_wrong(step: int) -> None:
    """A token that is not the likeliest, at one step alone."""
    from transformers import GenerationMixin

    def change(processors: Any) -> Any:
        begins: list[int] = []

        def moved(ids: Any, scores: Any) -> Any:
            begins.append(ids.shape[1])
            return scores.roll(1, -1) if ids.shape[1] - begins[0] == step else scores

        processors.append(moved)
        return processors

    change_result(GenerationMixin, "_get_logits_processor", change)


def static_cache_kept() -> None:
    """A static cache that still holds the first key of the call of `generate` before."""
    from transformers.cache_utils import StaticLayer

    before: dict[Any, Any] = {}

    def make(right: Function) -> Function:
        def faulty(self: Any, keys: Any, *args: Any, **given: Any) -> Any:
            kept, values = right(self, keys, *args, **given)
            if keys.shape[-2] > 1:
                first = kept[..., 0, :].clone()
                kept[..., 0, :] = before.get(keys.shape, first)
                before[keys.shape] = first
            return kept, values

        return faulty

    replace(StaticLayer, "update", make)


def attention_doubled(family: str, when: str) -> None:
    """Attention that is twice too large, in `training` or after a `long` prompt."""
    import torch

    def change(result: tuple[Any, Any]) -> tuple[Any, Any]:
        found = torch.is_grad_enabled() if when == "training" else result[0].shape[1] > 1024
        return result[0] * (2 if found else 1), result[1]

    change_result(class_of(family, "Attention"), "forward", change)


def mask_without_pads() -> None:
    """A mask that is ignored while generating: pads are seen."""

    def make(right: Function) -> Function:
        return lambda *args, **given: right(*args, **given | {"attention_mask": None})

    replace(code_of("llama"), "create_causal_mask", make, ("attention_mask",))


def mask_open() -> None:
    """A mask that hides nothing from a single new token, not even empty places of the cache."""
    import torch

    def make(right: Function) -> Function:
        def faulty(*args: Any, **given: Any) -> Any:
            mask = right(*args, **given)
            if mask is None or mask.shape[-2] > 1:
                return mask
            return torch.ones_like(mask) if mask.dtype == torch.bool else torch.zeros_like(mask)

        return faulty

    replace(code_of("llama"), "create_causal_mask", make)


def window(family: str, size: int | None = None) -> None:
    """A sliding window where there is none (size), or none where there is one (None)."""
    from transformers import masking_utils

    def make(right: Function) -> Function:
        def faulty(*args: Any, **given: Any) -> Any:
            if size is None:
                return masking_utils.create_causal_mask(*args, **given)
            given["config"] = copy(given["config"])
            given["config"].sliding_window = size
            return masking_utils.create_sliding_window_causal_mask(*args, **given)

        return faulty

    name = "create_sliding_window_causal_mask" if size is None else "create_causal_mask"
    replace(code_of(family), name, make)


def window_of(family: str, size: int) -> None:
    """A sliding window of another size."""

    def make(right: Function) -> Function:
        def faulty(*args: Any, **given: Any) -> Any:
            given["config"] = copy(given["config"])
            given["config"].sliding_window = size
            return right(*args, **given)

        return faulty

    replace(code_of(family), "create_sliding_window_causal_mask", make)


def cache_forgets() -> None:
    """A cache that loses the key of its first token."""
    from transformers.cache_utils import DynamicLayer

    def make(right: Function) -> Function:
        def faulty(self: Any, keys: Any, *args: Any, **given: Any) -> Any:
            kept, values = right(self, keys, *args, **given)
            if keys.shape[-2] == 1:
                kept = kept.clone()
                kept[..., 0, :] = 0
            return kept, values

        return faulty

    replace(DynamicLayer, "update", make)


def second_best() -> None:
    """Generation that never takes the likeliest token."""
    import torch
    from transformers import GenerationMixin

    def lowered(_: Any, scores: Any) -> Any:
        return scores.scatter(-1, scores.argmax(-1, keepdim=True), -torch.inf)

    def change(processors: Any) -> Any:
        processors.append(lowered)
        return processors

    change_result(GenerationMixin, "_get_logits_processor", change)

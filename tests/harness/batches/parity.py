"""Batched answers beside those of one prompt at a time, within the rule of ties."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..data.registry import Model
from ..diff import first_difference
from ..model.generation import NEW_TOKENS, predict
from ..model.logits import logit_bound
from ..prices.replies import extract_price
from ..text import quote


@dataclass(frozen=True)
class Comparison:
    """A prompt's answer in a batch and by itself."""

    number: int
    batched: tuple[int, ...]
    single: tuple[int, ...]  # as many
    price: float | None  # what the task reads out of four new tokens
    gap: float = 0.0  # by which the batch's token trails the likeliest, where the answers part
    bound: float = 0.0

    @property
    def equal(self) -> bool:
        """Whether both answers are the same tokens."""
        return self.batched == self.single

    @property
    def tie(self) -> bool:
        """Whether rounding alone may decide between the two answers."""
        return not self.equal and self.gap <= self.bound


def compare(
    spec: Model, model: Any, tokenizer: Any, text: str, number: int, batched: Sequence[int]
) -> Comparison:
    """Answer one prompt as the task does, but greedily.

    Where the answers part, the rule of ties looks at the logits that the prompt alone has there:
    the batch's token must be within `logit_bound` of the likeliest, so the two likeliest are, too.
    """
    count = max(len(batched), NEW_TOKENS)
    answer = predict(model, tokenizer, text, do_sample=False, max_new_tokens=count)
    single, price = answer.new[: len(batched)], extract_price(answer.reply)
    position = first_difference(list(batched), list(single))
    if position is None:
        return Comparison(number, tuple(batched), single, price)
    logits = _logits_after(model, [*answer.prompt_ids, *single[:position]])
    ended = position >= len(batched)  # too few tokens are no tie
    gap = math.inf if ended else float(logits.max() - logits[batched[position]])
    return Comparison(number, tuple(batched), single, price, gap, logit_bound(spec, logits))


def _logits_after(model: Any, ids: list[int]) -> Any:
    """The logits of the token after these ids: float32 (vocabulary,) on the CPU."""
    import torch

    with torch.inference_mode():
        inputs = torch.tensor([ids], device=model.device)
        return model(inputs, use_cache=False).logits[0, -1].float().cpu()


def parity_failure(title: str, comparisons: Sequence[Comparison], tokenizer: Any) -> list[str]:
    """Lines about the first answer that is neither equal nor a tie; empty if there is none."""
    wrong = [row for row in comparisons if not row.equal and not row.tie]
    if not wrong:
        return []
    first = wrong[0]
    position = first_difference(list(first.batched), list(first.single)) or 0
    got, expected = (
        f"{ids[position]} {quote(tokenizer.decode([ids[position]]))}"
        if position < len(ids)
        else "(end)"
        for ids in (first.batched, first.single)
    )
    return [
        f"{title}: row {first.number}: token {position} got {got} in a batch, expected {expected} "
        f"as one by one, which leads by {first.gap:.3f}, above the bound {first.bound:.3f}; likely "
        f"cause: pads are read, or positions are counted with them",
        f"  {len(wrong)} of {len(comparisons)} rows differ",
    ]

"""Batched answers beside those of one prompt at a time, within the rule of ties."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..data.registry import Model
from ..diff import first_difference
from ..errors import ContractBroken
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
    import torch

    count = max(len(batched), NEW_TOKENS)
    answer = predict(model, tokenizer, text, do_sample=False, max_new_tokens=count)
    single, price = answer.new[: len(batched)], extract_price(answer.reply)
    position = first_difference(list(batched), list(single))
    if position is None:
        return Comparison(number, tuple(batched), single, price)
    with torch.inference_mode():
        ids = [*answer.prompt_ids, *single[:position]]
        inputs = torch.tensor([ids], device=model.device)
        logits = model(inputs, use_cache=False).logits[0, -1].float().cpu()
    ended = position >= len(batched)  # too few tokens are no tie
    gap = math.inf if ended else float(logits.max() - logits[batched[position]])
    return Comparison(number, tuple(batched), single, price, gap, logit_bound(spec, logits))


def parity_failure(
    subject: str, comparisons: Sequence[Comparison], tokenizer: Any
) -> ContractBroken | None:
    """The first answer that is neither equal nor a tie, as a failure; None if there is none."""
    wrong = [row for row in comparisons if not row.equal and not row.tie]
    if not wrong:
        return None
    first = wrong[0]
    position = first_difference(first.batched, first.single) or 0
    got, expected = (
        f"{ids[position]} {quote(tokenizer.decode([ids[position]]))}"
        if position < len(ids)
        else "(end)"
        for ids in (first.batched, first.single)
    )
    return ContractBroken(
        subject,
        f"row {first.number}: token {position} got {got} in a batch, expected {expected} as one by "
        f"one, which leads by {first.gap:.3f}, above the bound {first.bound:.3f}",
        [f"  {len(wrong)} of {len(comparisons)} rows differ"],
        cause="pads are read, or positions are counted with them",
    )

"""Answers of a sweep against the same questions asked one by one, within the rule of ties."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .generation import NEW_TOKENS, predict
from .logits import lead, logit_bound
from .models import Model
from .prices import extract_price
from .tokens import parting, quote


@dataclass(frozen=True)
class Compared:
    """A row asked again by itself."""

    number: int
    batched: tuple[int, ...]
    single: tuple[int, ...]  # as many
    price: float | None  # what the task reads out of four new tokens
    lead: float = 0.0  # of the likeliest token over the next, where the two answers part
    bound: float = 0.0

    @property
    def equal(self) -> bool:
        """Whether both answers are the same tokens."""
        return self.batched == self.single

    @property
    def tie(self) -> bool:
        """Whether rounding alone may decide between the two answers."""
        return not self.equal and self.lead <= self.bound


def compare(
    facts: Model, model: Any, tokenizer: Any, text: str, number: int, batched: Sequence[int]
) -> Compared:
    """Ask one prompt as the task does, but greedily.

    Where the answers part, the rule of ties looks at the logits that the prompt alone has there.
    """
    count = max(len(batched), NEW_TOKENS)
    answer = predict(model, tokenizer, text, do_sample=False, max_new_tokens=count)
    single, price = answer.new[: len(batched)], extract_price(answer.reply)
    position = parting(list(batched), list(single))
    if position is None:
        return Compared(number, tuple(batched), single, price)
    logits = logits_behind(model, [*answer.prompt_ids, *single[:position]])
    return Compared(number, tuple(batched), single, price, lead(logits), logit_bound(facts, logits))


def logits_behind(model: Any, ids: list[int]) -> Any:
    """The logits of the token after these ids: float32 (vocabulary,) on the CPU."""
    import torch

    with torch.inference_mode():
        inputs = torch.tensor([ids], device=model.device)
        return model(inputs, use_cache=False).logits[0, -1].float().cpu()


def verdict(title: str, found: Sequence[Compared], tokenizer: Any) -> list[str]:
    """Lines about the first row that is neither equal nor a tie; empty if there is none."""
    wrong = [it for it in found if not it.equal and not it.tie]
    if not wrong:
        return []
    first = wrong[0]
    position = parting(list(first.batched), list(first.single)) or 0
    got, expected = (
        f"{ids[position]} {quote(tokenizer.decode([ids[position]]))}"
        if position < len(ids)
        else "(end)"
        for ids in (first.batched, first.single)
    )
    return [
        f"{title}: row {first.number}: token {position} got {got} in a batch, expected {expected} "
        f"as one by one, whose lead {first.lead:.3f} is above the bound {first.bound:.3f}; likely "
        f"cause: pads are read, or positions are counted with them",
        f"  {len(wrong)} of {len(found)} rows differ",
    ]

"""What the benchmarks of the model time, each as the task does it; every call ends on the host."""

from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

from ..model.generation import SEED, decoded
from ..prices.products import price_prompt, read_products

FILLER = " a"  # one token more, wherever it is added between words


class FirstTokenError(Exception):
    """Ends `generate` once the first new token is on the host."""


class _FirstTokenStreamer:
    """A streamer: `generate` gives it the prompt first, then each new token."""

    calls = 0

    def put(self, value: Any) -> None:
        self.calls += 1
        if self.calls == 2:
            raise FirstTokenError(int(value.reshape(-1)[0]))


def predict(model: Any, tokenizer: Any, prompt: str, new: int, **given: Any) -> list[int]:
    """The task's prediction: encode, generate, decode; the ids of the new tokens.

    End-of-sequence is off, so that there are always `new` of them.
    """
    import torch
    from transformers import set_seed

    set_seed(SEED)
    ids = tokenizer.encode(prompt, return_tensors="pt").to(model.device)
    output = model.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        max_new_tokens=new,
        num_return_sequences=1,
        eos_token_id=None,
        **given,
    )
    answer: list[int] = output[0].tolist()[ids.shape[1] :]
    decoded(tokenizer, answer)
    return answer


def first_token(model: Any, tokenizer: Any, prompt: str) -> list[int]:
    """What a user waits for who sees tokens as they come: from the text to the first id."""
    try:
        predict(model, tokenizer, prompt, 4, streamer=_FirstTokenStreamer())
    except FirstTokenError as first:
        return [int(first.args[0])]
    raise AssertionError("generate streamed no token")


def next_tokens(model: Any, batch: Sequence[Sequence[int]]) -> list[int]:
    """The likeliest next token of each prompt, all of one length, in one forward."""
    import torch

    with torch.inference_mode():
        ids = torch.tensor(batch).to(model.device)
        logits = model(input_ids=ids, use_cache=False, logits_to_keep=1).logits
        answer: list[int] = logits[:, -1].argmax(-1).tolist()
        return answer


def fixed_prompt(tokenizer: Any, tokens: int, start: int = 0) -> str:
    """A price prompt that `tokenizer.encode` gives exactly `tokens` ids for, special ones too.

    Prompts of another `start` have other words. ValueError if there is no such prompt, which a
    filler of more than one token would cause.
    """
    words = " ".join(product.text.replace("\n", " ") for product in read_products()).split(" ")
    shift = 37 * start % len(words)
    words = words[shift:] + words[:shift]

    def prompt(number: int, fillers: int) -> str:
        return price_prompt(" ".join(words[:number]) + FILLER * fillers)

    def count(number: int, fillers: int) -> int:
        return len(tokenizer.encode(prompt(number, fillers)))

    # The filler ends every text: the last word's full stop may be one token with the line's end.
    most = bisect_right(range(tokens + 1), tokens, key=lambda number: count(number, 1)) - 1
    fillers = 1 + tokens - count(most, 1)
    if most < 1 or count(most, fillers) != tokens:
        raise ValueError(f"no price prompt of exactly {tokens} tokens")
    return prompt(most, fillers)

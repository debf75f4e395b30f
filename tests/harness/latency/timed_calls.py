"""What the benchmarks of the model time, each as the task does it; every call ends on the host."""

from collections.abc import Sequence
from typing import Any

from ..generation import SEED, decoded


class FirstTokenError(Exception):
    """Ends `generate` once the first new token is on the host."""


class Stopwatch:
    """A streamer: `generate` gives it the prompt first, then each new token."""

    def __init__(self) -> None:
        """Nothing was given yet."""
        self.calls = 0

    def put(self, value: Any) -> None:
        """Take the prompt; end at the first token."""
        self.calls += 1
        if self.calls == 2:
            raise FirstTokenError(int(value.reshape(-1)[0]))

    def end(self) -> None:
        """Nothing is left to print."""


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
        predict(model, tokenizer, prompt, 4, streamer=Stopwatch())
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

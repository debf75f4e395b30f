"""The logits of the next token: of a padded batch, and how far rounding may move them."""

import re
from collections.abc import Callable, Sequence
from typing import Any

from ..data.registry import Model
from ..memory.footprint import Load


def next_token_logits(
    model: Any, tokenizer: Any, prompts: Sequence[str], padding_side: str = "left"
) -> Any:
    """Logits of the token after each prompt, all prompts in one padded batch.

    float32 (prompts, vocabulary) on the CPU. Positions count from each prompt's first token, as
    `generate` does it.
    """
    import torch

    batch = tokenizer(list(prompts), padding=True, padding_side=padding_side, return_tensors="pt")
    ids, mask = batch["input_ids"].to(model.device), batch["attention_mask"].to(model.device)
    positions = (mask.cumsum(-1) - 1).clamp(min=0)
    with torch.inference_mode():
        logits = model(input_ids=ids, attention_mask=mask, position_ids=positions).logits
    last = mask.shape[1] - 1 - mask.flip(1).argmax(1)
    return logits[torch.arange(len(prompts), device=last.device), last].float().cpu()


def logit_bound(spec: Model, logits: Any) -> float:
    """How far a logit may move when the same tokens are computed in another batch.

    A layer rounds to bf16 four times (two branches, two sums), then the last norm and the head;
    each by up to 2**-9 of the value. n such errors add up like a random walk, to sqrt(n) x 2**-9
    of the largest logit, and the bound is three times that. Measured on SmolLM2 (n = 122): real
    weights, 136 price prompts in batches, largest logit 39, bound 2.5: at most 0.56 in NF4 and
    0.63 in bf16. Random weights, largest logit 5, bound 0.33: at most 0.16. A prefix that should
    be hidden and is read moves them by 3.4 or more, of random weights by 5.4.
    """
    roundings = 4 * spec.architecture["num_hidden_layers"] + 2
    return float(3 * roundings**0.5 * 2**-9 * logits.abs().max())


def lead(logits: Any) -> float:
    """By how much the likeliest token leads the next."""
    first, second = logits.topk(2).values.tolist()
    return float(first - second)


def choices(logits: Any, temperature: float, top_p: float) -> int:
    """How many tokens sampling can choose as the first new one."""
    sorted_down = (logits / temperature).softmax(-1).sort(descending=True).values
    return int((sorted_down.cumsum(-1) - sorted_down < top_p).sum())


# How far the log-probability of a likely token moves from one processor to another, in nats: twice
# what was measured on SmolLM2 with oneDNN's and torch's kernels for AMX, AVX-512 and AVX2.
_MOVES = {"bf16": 0.5, "nf4": 0.5, "int8": 0.75}
_ANSWER = re.compile(r"(\d+) '.*' (-?[\d.]+)", re.DOTALL)


def answer_rows(
    logits: Any, load: Load, piece: Callable[[int], str], recorded: Sequence[str]
) -> list[str]:
    """The tokens that can be likeliest on some processor, as `id 'piece' log-probability`.

    Sorted by id. If the likeliest is among the recorded ones and each of those has moved by no
    more than processors move them, these are the rows, so that they do not depend on the machine.
    """
    logs, moves = logits.float().log_softmax(-1), _MOVES[load]
    known = {int(found[1]): float(found[2]) for found in map(_ANSWER.fullmatch, recorded) if found}
    same = all(abs(float(logs[token]) - value) <= moves for token, value in known.items())
    if known and same and int(logs.argmax()) in known:
        return list(recorded)
    likely = (logs >= logs.max() - 2 * moves).nonzero()[:, 0].tolist()
    return [f"{token} {piece(token)} {float(logs[token]):.1f}" for token in likely]

"""The next tokens of many prompts: greedily, in batches padded on the left, in bounded memory."""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from ..data.registry import Device

# Positions of a batch, pads included. Past these the kernels get no faster; where a GPU holds
# fewer, `answer_batches` finds that out.
BATCH_TOKENS: dict[Device, int] = {"cuda": 32_768, "cpu": 2_048}
# A forward costs as much as so many tokens before its first one: each 4-bit weight is dequantized
# once, and each kernel is launched. So many pads in a batch are cheaper than one batch more.
MAX_PADS = 1024


@dataclass(frozen=True)
class Batch:
    """Prompts that are answered together.

    `ids` is int64 (prompts, width), padded on the left. `mask` is 0 at pads, and None where there
    are none: then torch takes the causal kernel, which needs no mask in memory.
    """

    numbers: tuple[int, ...]  # which prompts these are
    ids: Any
    mask: Any | None

    @property
    def tokens(self) -> int:
        """How many positions are computed, pads included."""
        return int(self.ids.numel())

    def halves(self) -> list["Batch"]:
        """The batch as two; it must have two prompts."""
        middle = (len(self.numbers) + 1) // 2
        return [
            Batch(self.numbers[cut], self.ids[cut], None if self.mask is None else self.mask[cut])
            for cut in (slice(None, middle), slice(middle, None))
        ]


Answer = Callable[[Batch], Any]  # int64 (prompts, new tokens) on the model's device
Keep = Callable[[Batch, list[list[int]]], object]  # the new tokens, one list a prompt


def group_by_length(lengths: Sequence[int], batch_tokens: int) -> list[list[int]]:
    """Indexes of prompts that go together, the longest first, so that memory fails early if at all.

    A batch has at most `batch_tokens` positions (but one prompt at least). It ends where the
    length changes once it is half full, so that long runs of one length need no pad, and where
    its pads would cost more than a batch of its own.
    """
    groups: list[list[int]] = []
    width = pads = 0
    for index in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        group = groups[-1] if groups else []
        size, pads = len(group) * width, pads + width - lengths[index]
        full = not group or size + width > batch_tokens or pads > MAX_PADS
        if full or (2 * size >= batch_tokens and lengths[index] < lengths[group[-1]]):
            groups.append([])
            width, pads = lengths[index], 0
        groups[-1].append(index)
    return groups


def make_batches(prompts: dict[int, list[int]], batch_tokens: int, pad: int) -> tuple[Batch, ...]:
    """All prompts (ids by number) in batches of at most so many positions."""
    numbers, batches = list(prompts), []
    for group in group_by_length([len(ids) for ids in prompts.values()], batch_tokens):
        members = tuple(numbers[index] for index in group)
        batches.append(Batch(members, *_pad_left([prompts[number] for number in members], pad)))
    return tuple(batches)


def _pad_left(prompts: Sequence[Sequence[int]], pad: int) -> tuple[Any, Any | None]:
    import torch

    width = max(map(len, prompts))
    ids = torch.tensor([[pad] * (width - len(row)) + list(row) for row in prompts])
    if all(len(row) == width for row in prompts):
        return ids, None
    return ids, torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in prompts])


def last_logits(model: Any, batch: Batch) -> Any:
    """Logits of the token after each prompt: (prompts, vocabulary), in the model's dtype.

    Only the last position goes through the head. Positions count from the first real token.
    """
    inputs = {}
    if batch.mask is not None:
        mask = _to_device(batch.mask, model.device)
        inputs = {"attention_mask": mask, "position_ids": (mask.cumsum(-1) - 1).clamp(min=0)}
    ids = _to_device(batch.ids, model.device)
    return model(input_ids=ids, use_cache=False, logits_to_keep=1, **inputs).logits[:, -1]


def batch_answer(model: Any, method: str, new_tokens: int) -> Answer:
    """Answers of a batch: by `score` the likeliest next token, by `generate` up to `new_tokens`.

    Behind a token that ends an answer come pads.
    """
    import torch

    options = {"max_new_tokens": new_tokens, "num_return_sequences": 1, "do_sample": False}

    def answer(batch: Batch) -> Any:
        with torch.inference_mode():
            if method == "score":
                return last_logits(model, batch).argmax(-1, keepdim=True)
            ids = _to_device(batch.ids, model.device)
            real = torch.ones_like(batch.ids) if batch.mask is None else batch.mask
            mask = _to_device(real, model.device)
            return model.generate(ids, attention_mask=mask, **options)[:, ids.shape[1] :]

    return answer


def answer_batches(answer: Answer, batches: Iterable[Batch], batch_tokens: int, keep: Keep) -> None:
    """Hand each batch (or half of one) with its new tokens to `keep`.

    One batch is always ahead: the device works while the answers of the one before are kept. When
    memory runs out, accelerate calls again with half the positions of the batch that did not fit;
    larger ones are halved from then on. MemoryError if a single prompt does not fit.
    """
    from accelerate.utils import find_executable_batch_size

    stream, waiting = iter(batches), deque[Batch]()

    def halved() -> int:
        (first, *others), tokens = waiting[0].numbers, waiting[0].tokens
        if not others:
            raise MemoryError(f"row {first}: too little memory for one prompt of {tokens} tokens")
        return tokens // 2

    def run(limit: int) -> None:
        ahead: tuple[Batch, Callable[[], Any]] | None = None
        try:
            while True:
                waiting.extend(() if waiting else islice(stream, 1))
                if not waiting:
                    return
                batch = waiting[0]
                if batch.tokens > limit and len(batch.numbers) > 1:
                    waiting.popleft()
                    waiting.extendleft(reversed(batch.halves()))
                    continue
                done, ahead = ahead, (batch, _to_host(answer(batch)))
                waiting.popleft()
                if done:
                    keep(done[0], done[1]().tolist())
        finally:
            if ahead:
                keep(ahead[0], ahead[1]().tolist())

    find_executable_batch_size(run, batch_tokens, halved)()


def _to_device(tensor: Any, device: Any) -> Any:
    """The tensor there, copied while the device works on."""
    return tensor if device.type == "cpu" else tensor.pin_memory().to(device, non_blocking=True)


def _to_host(answer: Any) -> Callable[[], Any]:
    """Start copying to the host now; the call that is returned waits for it."""
    import torch

    if not answer.is_cuda:
        return lambda: answer
    host, copied = answer.to("cpu", non_blocking=True), torch.cuda.Event()  # to pinned memory
    copied.record()

    def wait() -> Any:
        copied.synchronize()
        return host

    return wait

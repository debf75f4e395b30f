"""Prices for batches of prompts: next-token scoring in one forward, or a batched generate.

Needs torch and transformers only.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from tests.harness import device as devices
from tests.harness.models import Device

from .batches import Batch, halves

Ask = Callable[[Batch], Any]  # int64 (prompts, new tokens) on the model's device


class SweepError(RuntimeError):
    """The sweep cannot go on; the message is one line with the mend."""


@dataclass
class Room:
    """Positions that fit into memory at once; less after a batch did not fit."""

    tokens: int


def forward(model: Any, batch: Batch) -> Any:
    """Logits of the token after each prompt: (prompts, vocabulary), in the model's dtype.

    Only the last position goes through the head. Positions count from the first real token.
    """
    device = model.device
    ids = moved(batch.ids, device)
    given = {}
    if batch.mask is not None:
        mask = moved(batch.mask, device)
        given = {"attention_mask": mask, "position_ids": (mask.cumsum(-1) - 1).clamp(min=0)}
    return model(input_ids=ids, use_cache=False, logits_to_keep=1, **given).logits[:, -1]


def moved(tensor: Any, device: Any) -> Any:
    """The tensor on the device, copied while the device works on."""
    if device.type == "cpu":
        return tensor
    return tensor.pin_memory().to(device, non_blocking=True)


def scored(model: Any, batch: Batch) -> Any:
    """The likeliest next token of each prompt: int64 (prompts, 1)."""
    return forward(model, batch).argmax(-1, keepdim=True)


def generated(model: Any, batch: Batch, new_tokens: int) -> Any:
    """Greedy tokens of each prompt: int64 (prompts, up to new_tokens), eos and pads behind eos."""
    import torch

    ids = moved(batch.ids, model.device)
    mask = torch.ones_like(ids) if batch.mask is None else moved(batch.mask, model.device)
    output = model.generate(
        ids,
        attention_mask=mask,
        max_new_tokens=new_tokens,
        num_return_sequences=1,
        do_sample=False,
    )
    return output[:, ids.shape[1] :]


def asker(model: Any, method: str, new_tokens: int) -> Ask:
    """What asks a batch, by method `score` or `generate`."""
    import torch

    def ask(batch: Batch) -> Any:
        # Entered here, not around a generator: between its steps the mode would leak out.
        with torch.inference_mode():
            if method == "score":
                return scored(model, batch)
            return generated(model, batch, new_tokens)

    return ask


def out_of_memory(error: BaseException) -> bool:
    """Whether a smaller batch may do; other CUDA errors leave a device that cannot go on."""
    import torch

    lost = isinstance(error, RuntimeError) and "CUBLAS_STATUS_ALLOC_FAILED" in str(error)
    return lost or isinstance(error, (torch.OutOfMemoryError, MemoryError))


def asked(ask: Ask, batch: Batch, room: Room, device: Device) -> Iterator[tuple[Batch, Any]]:
    """The batch's answers; in halves, and the room halved, as often as memory does not suffice."""
    waiting = [batch]
    while waiting:
        part = waiting.pop()
        if part.tokens > room.tokens and len(part.numbers) > 1:
            waiting += halves(part)[::-1]
            continue
        try:
            answer = ask(part)
        except Exception as error:
            if not out_of_memory(error):
                raise
            answer = None
        if answer is not None:
            yield part, answer
            continue
        # Out here the error is gone, and with its frames what the forward had allocated.
        if len(part.numbers) == 1:
            raise SweepError(
                f"row {part.numbers[0]}: {device} has too little memory for one prompt of "
                f"{part.tokens} tokens: end what else runs there"
            )
        devices.collect(device)
        room.tokens = part.tokens // 2
        waiting.append(part)


def answers(
    ask: Ask, stream: Iterable[Batch], room: Room, device: Device
) -> Iterator[tuple[Batch, list[list[int]]]]:
    """Each batch (or part of one) and its new tokens, a list a prompt.

    One batch is always ahead: the device works while the answers of the one before are read.
    """
    pending: deque[tuple[Batch, Callable[[], Any]]] = deque()
    for batch in stream:
        for part, answer in asked(ask, batch, room, device):
            pending.append((part, fetched(answer)))
            if len(pending) > 1:
                done, fetch = pending.popleft()
                yield done, fetch().tolist()
    for done, fetch in pending:
        yield done, fetch().tolist()


def fetched(answer: Any) -> Callable[[], Any]:
    """Start copying to the host now; the call that is returned waits for it."""
    import torch

    if not answer.is_cuda:
        return lambda: answer
    host = torch.empty(answer.shape, dtype=answer.dtype, pin_memory=True)
    host.copy_(answer, non_blocking=True)
    copied = torch.cuda.Event()
    copied.record()

    def wait() -> Any:
        copied.synchronize()
        return host

    return wait

"""How fast the price sweep is beside the one-prompt loop and the matrix limit.

Measured in one run, on one loaded model: the loop as the task writes it (encode, a mask of ones,
`generate` with 4 new tokens, one prompt at a time); the sweep's batches, by batch size; and a bf16
matrix product, before and after. The share of the limit is `roofline.forward_flops` of the prompts,
pads not counted, over the seconds, over the measured product's FLOP/s.

Under `torchrun --nproc-per-node N` what N GPUs bring is measured instead: the first process answers
all batches while the others wait, then each its share, as the sweep deals them.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from statistics import median
from typing import Any

from tests.harness.batches.answers import (
    BATCH_TOKENS,
    Answer,
    Batch,
    answer_batches,
    batch_answer,
    make_batches,
)
from tests.harness.batches.fused_norms import compiled, fused_norms
from tests.harness.console import exit_status
from tests.harness.data.registry import Device
from tests.harness.latency.machine import synchronized
from tests.harness.latency.roofline import forward_flops
from tests.harness.model.generation import NEW_TOKENS, decoded
from tests.harness.prices.replies import extract_price
from tests.tools.models import ModelChoice, add_model_options, prepare_model, rank_and_world

from .drawn_texts import prompt_ids

SIZES = (32, 64, 128, 256)  # prompts of a batch
Ids = dict[int, list[int]]


def _seconds(work: Callable[[], object]) -> float:
    """Wall seconds of the work, the device idle before and after."""
    started = synchronized()
    work()
    return synchronized() - started


def _product_rate(device: Device, side: int) -> float:
    """FLOP/s of a square bf16 matrix product: the median of 20, after 5 to warm up."""
    import torch

    left, right = (torch.randn(side, side, dtype=torch.bfloat16, device=device) for _ in range(2))
    times = [_seconds(lambda: left @ right) for _ in range(25)]
    return 2 * side**3 / median(times[5:])


def _one_by_one(model: Any, choice: ModelChoice, texts: Sequence[str]) -> float:
    """Prompts a second of the task's own loop."""
    import torch

    def answer(text: str) -> float | None:
        inputs = choice.tokenizer.encode(text, return_tensors="pt").to(choice.device)
        mask = torch.ones(inputs.shape, device=choice.device)
        given = {"max_new_tokens": NEW_TOKENS, "num_return_sequences": 1}
        outputs = model.generate(inputs, attention_mask=mask, **given)
        new = outputs[0][inputs.shape[1] :].tolist()
        return extract_price(decoded(choice.tokenizer, new))

    for text in texts[:3]:
        answer(text)
    return len(texts) / _seconds(lambda: [answer(text) for text in texts])


def _swept(
    answer: Answer, batches: Sequence[Batch], tokens: int
) -> tuple[float, dict[int, list[int]]]:
    """Seconds for these batches, answers on the host, and the answers by prompt."""
    answers: dict[int, list[int]] = {}

    def keep(batch: Batch, rows: list[list[int]]) -> None:
        answers.update(zip(batch.numbers, rows, strict=True))

    return _seconds(lambda: answer_batches(answer, batches, tokens, keep)), answers


def _table(choice: ModelChoice, answer: Answer, ids: Ids, limit: float) -> float:
    """Print a line for each batch size; the best rate in prompts a second."""
    rates, lengths = [], [len(prompt) for prompt in ids.values()]
    needed = sum(forward_flops(choice.spec, 1, length) for length in lengths)
    sizes = {f"batch {size}": size * max(lengths) for size in SIZES if size <= len(ids)}
    for name, tokens in (sizes | {"as swept": BATCH_TOKENS[choice.device]}).items():
        batches = make_batches(ids, tokens, choice.tokenizer.eos_token_id)
        largest = max(batch.tokens for batch in batches)
        _swept(answer, batches[:1], largest)  # warms up
        took, _ = _swept(answer, batches, largest)
        pads = 1 - sum(lengths) / sum(batch.tokens for batch in batches)
        free = sum(batch.mask is None for batch in batches)
        rates.append(len(ids) / took)
        print(
            f"  {name:<10} {tokens:>7,} positions  {rates[-1]:8.1f} prompts/s  "
            f"{1000 * took / len(ids):7.2f} ms each  {needed / took / limit:6.1%} of the product  "
            f"{len(batches)} batches, {free} without pads, {pads:.1%} pads",
            flush=True,
        )
    return max(rates)


def _measure_alone(choice: ModelChoice, model: Any, ids: Ids, options: argparse.Namespace) -> None:
    """Print the rates of the loop, of the sweep by batch size and form, and of the product."""
    limit, mean = _product_rate(choice.device, options.side), sum(map(len, ids.values())) / len(ids)
    title = f"{choice.title} on {choice.device_name}"
    print(f"{title}: {len(ids):,} prompts, mean {mean:.0f} tokens")
    print(f"  matrix product {limit / 1e12:.1f} TFLOP/s", flush=True)
    prompts = list(ids.values())[: options.singles]
    texts = [decoded(choice.tokenizer, prompt[choice.spec.can("bos") :]) for prompt in prompts]
    loop = _one_by_one(model, choice, texts)
    print(f"  one by one, generate {NEW_TOKENS} tokens: {loop:.2f} prompts/s", flush=True)
    forms: dict[str, Callable[[Any], AbstractContextManager[None]]] = {
        "plain": nullcontext,
        "fused norms": fused_norms,
        **({"compiled": compiled} if options.compile else {}),
    }
    best = 0.0
    for name, form in forms.items():
        print(f" {name}:")
        with form(model):
            best = max(best, _table(choice, batch_answer(model, "score", 1), ids, limit))
    print(f"  product again, device warm: {_product_rate(choice.device, options.side) / 1e12:.1f}")
    print(f"  best over one by one: {best / loop:.1f} times")


def _measure_processes(choice: ModelChoice, model: Any, ids: Ids, rank: int, world: int) -> None:
    """Print, in the first process, the rate of one and of all, and how many answers agree."""
    import torch.distributed as processes

    processes.init_process_group("gloo", rank=rank, world_size=world)
    size = BATCH_TOKENS[choice.device]
    answer = batch_answer(model, "score", 1)
    batches = make_batches(ids, size, choice.tokenizer.eos_token_id)
    with fused_norms(model):
        _swept(answer, batches[:1], size)  # warms up
        processes.barrier()
        alone, expected = _swept(answer, batches if rank == 0 else [], size)
        processes.barrier()
        shares: list[tuple[float, dict[int, list[int]]]] = [(0.0, {})] * world
        processes.all_gather_object(shares, _swept(answer, batches[rank::world], size))
    if rank == 0:
        together = max(took for took, _ in shares)
        got = {number: tokens for _, answers in shares for number, tokens in answers.items()}
        same = sum(got[number] == tokens for number, tokens in expected.items())
        print(f"{choice.title}: {len(ids):,} prompts in {len(batches)} batches")
        print(f"  1 process: {len(ids) / alone:.1f} prompts/s")
        print(f"  {world} processes: {len(ids) / together:.1f} prompts/s, ", end="")
        print(f"{alone / together:.2f} times; {same:,} of {len(expected):,} answers the same")
    processes.destroy_process_group()


def main() -> None:
    """Measure and print."""
    prog = "python -m tests.tools.measure.sweep_speed"
    parser = argparse.ArgumentParser(prog=prog, description=__doc__)
    add_model_options(parser)
    add = parser.add_argument
    add("--prompts", type=int, default=3000, help="(default: 3000)")
    add("--singles", type=int, default=20, help="prompts of the loop (default: 20)")
    add("--side", type=int, default=8192, help="of the matrix product (default: 8192)")
    add("--compile", action="store_true", help="measure compiled layers, too (default: off)")
    options = parser.parse_args()
    rank, world = rank_and_world()  # before the device is looked at
    choice = prepare_model(options)
    ids = prompt_ids(choice.tokenizer, options.prompts)
    slot = choice.loaded()
    if world > 1:
        _measure_processes(choice, slot.model, ids, rank, world)
    else:
        _measure_alone(choice, slot.model, ids, options)
    slot.unload()


if __name__ == "__main__":
    sys.exit(exit_status(main))

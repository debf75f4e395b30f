"""How fast the price sweep is beside the one-prompt loop and the matrix limit.

Measured in one run, on one loaded model: the loop as the task writes it (encode, a mask of ones,
`generate` with 4 new tokens, one prompt at a time); the sweep's batches, by batch size; and a bf16
matrix product, before and after. The share of the limit is `roofline.forward_flops` of the prompts,
pads not counted, over the seconds, over the measured product's FLOP/s.
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
from tests.tools.models import ModelChoice, add_model_options, prepare_model

from .drawn_texts import prompt_ids

SIZES = (32, 64, 128, 256)  # prompts of a batch
Ids = dict[int, list[int]]


def options_parser(command: str, description: str) -> argparse.ArgumentParser:
    """Which model is measured, and on how many prompts."""
    prog = f"python -m tests.tools.measure.{command}"
    parser = argparse.ArgumentParser(prog=prog, description=description)
    add_model_options(parser)
    parser.add_argument("--prompts", type=int, default=3000, help="(default: 3000)")
    return parser


def seconds(work: Callable[[], object]) -> float:
    """Wall seconds of the work, the device idle before and after."""
    started = synchronized()
    work()
    return synchronized() - started


def _product_rate(device: Device, side: int) -> float:
    """FLOP/s of a square bf16 matrix product: the median of 20, after 5 to warm up."""
    import torch

    left, right = (torch.randn(side, side, dtype=torch.bfloat16, device=device) for _ in range(2))
    times = [seconds(lambda: left @ right) for _ in range(25)]
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
    return len(texts) / seconds(lambda: [answer(text) for text in texts])


def swept(
    answer: Answer, batches: Sequence[Batch], tokens: int
) -> tuple[float, dict[int, list[int]]]:
    """Seconds for these batches, answers on the host, and the answers by prompt."""
    answers: dict[int, list[int]] = {}

    def keep(batch: Batch, rows: list[list[int]]) -> None:
        answers.update(zip(batch.numbers, rows, strict=True))

    return seconds(lambda: answer_batches(answer, batches, tokens, keep)), answers


def _table(choice: ModelChoice, answer: Answer, ids: Ids, limit: float) -> float:
    """Print a line for each batch size; the best rate in prompts a second."""
    rates, lengths = [], [len(prompt) for prompt in ids.values()]
    needed = sum(forward_flops(choice.spec, 1, length) for length in lengths)
    sizes = {f"batch {size}": size * max(lengths) for size in SIZES if size <= len(ids)}
    for name, tokens in (sizes | {"as swept": BATCH_TOKENS[choice.device]}).items():
        batches = make_batches(ids, tokens, choice.tokenizer.eos_token_id)
        largest = max(batch.tokens for batch in batches)
        swept(answer, batches[:1], largest)  # warms up
        took, _ = swept(answer, batches, largest)
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


def main() -> None:
    """Measure and print."""
    parser = options_parser("sweep_speed", __doc__ or "")
    add = parser.add_argument
    add("--singles", type=int, default=20, help="prompts of the loop (default: 20)")
    add("--side", type=int, default=8192, help="of the matrix product (default: 8192)")
    add("--compile", action="store_true", help="measure compiled layers, too (default: off)")
    options = parser.parse_args()
    choice = prepare_model(options)
    slot, tokenizer = choice.loaded(), choice.tokenizer
    ids = prompt_ids(tokenizer, options.prompts)
    limit, mean = _product_rate(choice.device, options.side), sum(map(len, ids.values())) / len(ids)
    title = f"{choice.title} on {choice.device_name}"
    print(f"{title}: {len(ids):,} prompts, mean {mean:.0f} tokens")
    print(f"  matrix product {limit / 1e12:.1f} TFLOP/s", flush=True)
    texts = [decoded(tokenizer, prompt[choice.spec.can("bos") :]) for prompt in ids.values()]
    loop = _one_by_one(slot.model, choice, texts[: options.singles])
    print(f"  one by one, generate {NEW_TOKENS} tokens: {loop:.2f} prompts/s", flush=True)
    forms: dict[str, Callable[[Any], AbstractContextManager[None]]] = {
        "plain": nullcontext,
        "fused norms": fused_norms,
        **({"compiled": compiled} if options.compile else {}),
    }
    best = 0.0
    for name, form in forms.items():
        print(f" {name}:")
        with form(slot.model):
            best = max(best, _table(choice, batch_answer(slot.model, "score", 1), ids, limit))
    print(f"  product again, device warm: {_product_rate(choice.device, options.side) / 1e12:.1f}")
    print(f"  best over one by one: {best / loop:.1f} times")
    slot.unload()


if __name__ == "__main__":
    sys.exit(exit_status(main))

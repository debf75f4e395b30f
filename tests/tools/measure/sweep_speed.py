"""How fast the price sweep is beside the one-prompt loop and the matrix limit.

`python -m tests.tools.measure.sweep_speed --model llama3_1 --load nf4` measures in one run, on one
loaded model: the loop as the task writes it (encode, a mask of ones, `generate` with 4 new tokens,
one prompt at a time); the sweep's batches, by batch size; and a bf16 matrix product of 8192 x 8192,
before and after. The share of the limit is `roofline.forward_flops` of the prompts, pads not
counted, over the seconds, over the measured product's FLOP/s.
"""

import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
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
from tests.harness.data.registry import Device, Model
from tests.harness.latency.roofline import forward_flops
from tests.harness.model.generation import NEW_TOKENS, decoded
from tests.harness.prices.replies import extract_price

from .setup import Setting, parser, seconds, setting

SIZES = (32, 64, 128, 256)
SIDE = 8192


def product_rate(device: Device, side: int) -> float:
    """FLOP/s of a square bf16 matrix product: the median of 20, after 5 to warm up."""
    import torch

    left, right = (torch.randn(side, side, dtype=torch.bfloat16, device=device) for _ in range(2))
    times = [seconds(lambda: left @ right) for _ in range(25)]
    return 2 * side**3 / median(times[5:])


def one_by_one(model: Any, tokenizer: Any, texts: Sequence[str], device: Device) -> float:
    """Prompts a second of the task's own loop."""
    import torch

    def ask(text: str) -> float | None:
        inputs = tokenizer.encode(text, return_tensors="pt").to(device)
        mask = torch.ones(inputs.shape, device=device)
        outputs = model.generate(
            inputs, attention_mask=mask, max_new_tokens=NEW_TOKENS, num_return_sequences=1
        )
        return extract_price(decoded(tokenizer, outputs[0][inputs.shape[1] :].tolist()))

    for text in texts[:3]:
        ask(text)
    return len(texts) / seconds(lambda: [ask(text) for text in texts])


def swept(answer: Answer, batches: Sequence[Batch]) -> float:
    """Seconds for these batches, answers on the host."""
    largest = max(batch.tokens for batch in batches)

    def run(batches: Sequence[Batch]) -> None:
        answer_batches(answer, batches, largest, lambda batch, rows: None)

    run(batches[:1])
    return seconds(lambda: run(batches))


def table(
    spec: Model, answer: Answer, ids: dict[int, list[int]], pad: int, device: Device, limit: float
) -> dict[str, float]:
    """Print a line for each batch size; prompts a second by line."""
    found = {}
    lengths = [len(prompt) for prompt in ids.values()]
    longest, needed = max(lengths), sum(forward_flops(spec, 1, length) for length in lengths)
    sizes = {f"batch {size}": size * longest for size in SIZES if size <= len(ids)}
    for name, tokens in (sizes | {"as swept": BATCH_TOKENS[device]}).items():
        made = make_batches(ids, tokens, pad)
        took = swept(answer, made)
        pads = 1 - sum(lengths) / sum(batch.tokens for batch in made)
        free = sum(batch.mask is None for batch in made)
        share = needed / took / limit
        found[name] = len(ids) / took
        print(
            f"  {name:<10} {tokens:>7,} positions  {found[name]:8.1f} prompts/s  "
            f"{1000 * took / len(ids):7.2f} ms each  {share:6.1%} of the product  "
            f"{len(made)} batches, {free} without pads, {pads:.1%} pads",
            flush=True,
        )
    return found


def main() -> None:
    """Measure and print."""
    made = parser("sweep_speed")
    made.add_argument("--singles", type=int, default=20, help="prompts of the loop")
    made.add_argument("--side", type=int, default=SIDE, help="of the matrix product")
    made.add_argument("--compile", action="store_true", help="measure compiled layers, too")
    options = made.parse_args()
    loaded = setting(options)
    limit, mean = product_rate(loaded.device, options.side), sum(map(len, loaded.ids.values()))
    print(f"{loaded.title}: {len(loaded.ids):,} prompts, mean {mean / len(loaded.ids):.0f} tokens")
    print(f"  matrix product {limit / 1e12:.1f} TFLOP/s", flush=True)
    texts = [
        decoded(loaded.tokenizer, ids[loaded.facts.can("bos") :]) for ids in loaded.ids.values()
    ]
    loop = one_by_one(loaded.slot.model, loaded.tokenizer, texts[: options.singles], loaded.device)
    print(f"  one by one, generate {NEW_TOKENS} tokens: {loop:.2f} prompts/s", flush=True)
    best = measured(loaded, limit, options.compile)
    print(f"  product again, device warm: {product_rate(loaded.device, options.side) / 1e12:.1f}")
    print(f"  best over one by one: {best / loop:.1f} times")
    loaded.slot.unload()


def measured(loaded: Setting, limit: float, with_compiled: bool) -> float:
    """A table for each form of the model; the best rate in prompts a second."""
    model, best = loaded.slot.model, 0.0
    forms: dict[str, list[Callable[[Any], Any]]] = {"plain": [], "fused norms": [fused_norms]}
    if with_compiled:
        forms["compiled"] = [compiled]
    for name, speedups in forms.items():
        print(f" {name}:")
        with ExitStack() as stack:
            for speedup in speedups:
                stack.enter_context(speedup(model))
            answer, pad = batch_answer(model, "score", 1), loaded.tokenizer.eos_token_id
            best = max(
                best, *table(loaded.facts, answer, loaded.ids, pad, loaded.device, limit).values()
            )
    return best


if __name__ == "__main__":
    sys.exit(exit_status(main))

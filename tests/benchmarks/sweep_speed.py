"""How fast the price sweep is beside the one-prompt loop and the matrix limit.

`python -m tests.benchmarks.sweep_speed --model llama3_1 --load nf4` measures in one run, on one
loaded model: the loop as the task writes it (encode, a mask of ones, `generate` with 4 new tokens,
one prompt at a time); the sweep's batches, by batch size; and a bf16 matrix product of 8192 x 8192,
before and after. The share of the limit is

    (2 x weights of the layers' matrices x tokens + 2 x weights of the head x prompts
     + 2 x layers x hidden size x sum of squared lengths) / seconds / (measured product's FLOP/s)

in which only the real tokens count, pads do not; attention is causal, so half of each square.
"""

import argparse
import random
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, get_args

from tests.harness import device as devices
from tests.harness.assets import SOURCES, Sources, prepare
from tests.harness.fusing import compiled, fused_norms
from tests.harness.generation import NEW_TOKENS, decoded
from tests.harness.live import Slot, prepared_tokenizer
from tests.harness.memory import LOADS
from tests.harness.models import Device, Model, registry
from tests.harness.price_prompts import price_prompt, read_products
from tests.harness.prices import extract_price
from tests.harness.scoring import Ask, Room, answers, asker
from tests.harness.sweep_batches import Batch, batches
from tests.harness.sweep_job import device_name
from tests.harness.sweep_room import batch_tokens
from tests.harness.weights import parse_weights, prepare_weights

SIZES = (32, 64, 128, 256)
SIDE = 8192


def prompts(tokenizer: Any, count: int, seed: int = 42) -> dict[int, list[int]]:
    """Ids of price prompts by number, 150 to 180 tokens long, as the task's data has them.

    Descriptions of the products are put together by lot and cut to a length drawn by lot.
    """
    dice, texts = random.Random(seed), [product.description for product in read_products()]
    drawn, found = [dice.randint(150, 180) for _ in range(count)], {}
    around = len(tokenizer.encode(price_prompt("")))
    for number, length in enumerate(drawn):
        words = tokenizer.encode(" ".join(dice.sample(texts, 12)), add_special_tokens=False)
        text = tokenizer.decode(words[: length - around])
        found[number] = tokenizer.encode(price_prompt(text.strip()))
    return found


def synchronised(device: Device) -> None:
    """Wait until the device has nothing left to do."""
    if device == "cuda":
        import torch

        torch.cuda.synchronize()


def seconds(device: Device, work: Callable[[], object]) -> float:
    """Wall seconds of the work, the device idle before and after."""
    synchronised(device)
    started = time.perf_counter()
    work()
    synchronised(device)
    return time.perf_counter() - started


def product_rate(device: Device, side: int) -> float:
    """FLOP/s of a square bf16 matrix product: the median of 20 after 5 to warm up."""
    import torch

    left, right = (torch.randn(side, side, dtype=torch.bfloat16, device=device) for _ in range(2))
    times = sorted(seconds(device, lambda: left @ right) for _ in range(25))[:20]
    return float(2 * side**3 / times[len(times) // 2])


def needed(facts: Model, lengths: Sequence[int]) -> float:
    """FLOPs to know the next token behind prompts of these lengths: the module's formula."""
    it = facts.architecture
    hidden, layers = it["hidden_size"], it["num_hidden_layers"]
    key_value = hidden * it["num_key_value_heads"] // it["num_attention_heads"]
    layer = 2 * hidden * hidden + 2 * hidden * key_value + 3 * hidden * it["intermediate_size"]
    squares = sum(length * length for length in lengths)
    head = 2 * hidden * it["vocab_size"] * len(lengths)
    return float(2 * layers * layer * sum(lengths) + head + 2 * layers * hidden * squares)


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
    return len(texts) / seconds(device, lambda: [ask(text) for text in texts])


def swept(ask: Ask, made: Sequence[Batch], device: Device) -> float:
    """Seconds for these batches, answers on the host."""
    room = Room(max(batch.tokens for batch in made))
    list(answers(ask, made[:1], room, device))
    return seconds(device, lambda: list(answers(ask, made, room, device)))


def table(
    facts: Model, ask: Ask, ids: dict[int, list[int]], pad: int, device: Device, limit: float
) -> dict[str, float]:
    """Print a line for each batch size; prompts a second by line."""
    found = {}
    lengths = [len(prompt) for prompt in ids.values()]
    longest = max(lengths)
    sizes = {f"batch {size}": size * longest for size in SIZES if size <= len(ids)}
    for name, tokens in (sizes | {"as swept": batch_tokens(ask, device, pad)}).items():
        made = batches(ids, tokens, pad)
        took = swept(ask, made, device)
        pads = 1 - sum(lengths) / sum(batch.tokens for batch in made)
        free = sum(batch.mask is None for batch in made)
        share = needed(facts, lengths) / took / limit
        found[name] = len(ids) / took
        print(
            f"  {name:<10} {tokens:>7,} positions  {found[name]:8.1f} prompts/s  "
            f"{1000 * took / len(ids):7.2f} ms each  {share:6.1%} of the product  "
            f"{len(made)} batches, {free} without pads, {pads:.1%} pads",
            flush=True,
        )
    return found


@dataclass(frozen=True)
class Setting:
    """A loaded model and the prompts it is asked."""

    facts: Model
    device: Device
    title: str
    tokenizer: Any
    slot: Slot
    ids: dict[int, list[int]]


def parser(name: str) -> argparse.ArgumentParser:
    """What is loaded, and how many prompts it is asked."""
    made = argparse.ArgumentParser(prog=f"python -m tests.benchmarks.{name}")
    made.add_argument("--model", default="llama3_1", choices=list(registry()))
    made.add_argument("--load", default="nf4", choices=LOADS)
    made.add_argument("--device", choices=get_args(Device))
    made.add_argument("--weights", default="auto")
    made.add_argument("--source", default="bundle", choices=SOURCES)
    made.add_argument("--prompts", type=int, default=3000)
    return made


def setting(options: argparse.Namespace) -> Setting:
    """Load what the options say."""
    facts = registry()[options.model]
    device: Device = options.device or ("cuda" if devices.has_cuda() else "cpu")
    folder = prepare([facts], Sources(options.source), print)[facts.key]
    chosen = parse_weights([f"{facts.key}={options.weights}"])[facts.key]
    weights = prepare_weights(facts, device, chosen, folder, print)
    tokenizer, slot = prepared_tokenizer(folder), Slot()
    slot.put(facts, device, options.load, weights, tokenizer)
    title = f"{facts.key} {options.load} on {device_name(device)}, {weights.note}"
    return Setting(facts, device, title, tokenizer, slot, prompts(tokenizer, options.prompts))


def main() -> None:
    """Measure and print."""
    made = parser("sweep_speed")
    made.add_argument("--singles", type=int, default=20, help="prompts of the loop")
    made.add_argument("--side", type=int, default=SIDE, help="of the matrix product")
    made.add_argument("--compile", action="store_true", help="measure compiled layers, too")
    options = made.parse_args()
    it = setting(options)
    limit, mean = product_rate(it.device, options.side), sum(map(len, it.ids.values()))
    print(f"{it.title}: {len(it.ids):,} prompts, mean {mean / len(it.ids):.0f} tokens")
    print(f"  matrix product {limit / 1e12:.1f} TFLOP/s", flush=True)
    texts = [decoded(it.tokenizer, ids[it.facts.can("bos") :]) for ids in it.ids.values()]
    loop = one_by_one(it.slot.model, it.tokenizer, texts[: options.singles], it.device)
    print(f"  one by one, generate {NEW_TOKENS} tokens: {loop:.2f} prompts/s", flush=True)
    best = measured(it, limit, options.compile)
    print(f"  product again, device warm: {product_rate(it.device, options.side) / 1e12:.1f}")
    print(f"  best over one by one: {best / loop:.1f} times")
    it.slot.unload()


def measured(it: Setting, limit: float, with_compiled: bool) -> float:
    """A table for each form of the model; the best rate in prompts a second."""
    model, best = it.slot.model, 0.0
    forms: dict[str, list[Callable[[Any], Any]]] = {"plain": [], "fused norms": [fused_norms]}
    if with_compiled:
        forms["compiled"] = [compiled]
    for name, speedups in forms.items():
        print(f" {name}:")
        with ExitStack() as stack:
            for speedup in speedups:
                stack.enter_context(speedup(model))
            ask, pad = asker(model, "score", 1), it.tokenizer.eos_token_id
            best = max(best, *table(it.facts, ask, it.ids, pad, it.device, limit).values())
    return best


if __name__ == "__main__":
    main()

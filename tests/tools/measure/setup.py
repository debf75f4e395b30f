"""What the benchmarks of the sweep start from: a loaded model, and price prompts by lot."""

import argparse
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, get_args

from tests.harness.data.registry import Device, Model, registry
from tests.harness.latency.machine import synchronized
from tests.harness.memory.footprint import LOADS
from tests.harness.model import device as devices
from tests.harness.model.loading import ModelSlot, prepared_tokenizer
from tests.harness.prices.products import price_prompt, read_products
from tests.harness.sources.folders import SOURCES, Sources, prepare
from tests.harness.sources.weights import parse_weights, prepare_weights
from tests.tools.sweep.job import device_name


@dataclass(frozen=True)
class Setting:
    """A loaded model and the prompts it is asked."""

    facts: Model
    device: Device
    title: str
    tokenizer: Any
    slot: ModelSlot
    ids: dict[int, list[int]]


def parser(name: str) -> argparse.ArgumentParser:
    """What is loaded, and how many prompts it is asked."""
    made = argparse.ArgumentParser(prog=f"python -m tests.tools.measure.{name}")
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
    tokenizer, slot = prepared_tokenizer(folder), ModelSlot()
    slot.load(facts, device, options.load, weights, tokenizer)
    title = f"{facts.key} {options.load} on {device_name(device)}, {weights.note}"
    return Setting(facts, device, title, tokenizer, slot, prompts(tokenizer, options.prompts))


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


def seconds(work: Callable[[], object]) -> float:
    """Wall seconds of the work, the device idle before and after."""
    started = synchronized()
    work()
    return synchronized() - started

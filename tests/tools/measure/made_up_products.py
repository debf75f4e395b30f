"""Made-up products for measurements: seeded, varied, about as long as the task's texts."""

import json
from collections.abc import Iterator
from pathlib import Path
from random import Random

from tests.harness.prices.products import training_text

KINDS = ("drill", "lamp", "kettle", "backpack", "router", "bicycle", "blender", "tripod", "heater")
MAKERS = ("Norvik", "Talleo", "Quandry", "Bexhill", "Umbral", "Castova", "Ostrava", "Zephrin")
QUALITIES = (
    *("cordless", "folding", "stainless", "compact", "waterproof", "quiet", "adjustable"),
    *("rechargeable", "lightweight", "heavy-duty", "insulated", "magnetic", "dimmable", "ceramic"),
)
FACTS = (
    "Runs {n} hours on one charge of its {m} mAh battery.",
    "The {q} body measures {n} x {m} mm and weighs {n}.{k} kg.",
    "Comes with {k} spare parts, a {q} case and a printed guide.",
    "Model {a}{m}-{k}, made for homes of up to {n} square metres.",
    "Tested at {n} °C; the {q} cover keeps dust and rain out.",
    'Fits rails of {k}/8" and pipes from {n} to {m} mm.',
    "Buyers who own the older {a}{n} can go on using its {q} mount.",
    "The {q} finish of this {a} series has kept its colour for {k} years.",
    "A second {q} grip is sold under part number {a}{k}-{m}.",
    "Cleaning takes {k} minutes: rinse, wipe, let dry overnight.",
)


def description(random: Random) -> str:
    """A product of a title and seven to nine sentences."""
    title = f"{random.choice(MAKERS)} {random.choice(QUALITIES)} {random.choice(KINDS)}"
    facts = [
        fact.format(
            n=random.randrange(2, 400),
            m=random.randrange(400, 9000),
            k=random.randrange(1, 9),
            q=random.choice(QUALITIES),
            a=random.choice("ABKTX"),
        )
        for fact in random.sample(FACTS, random.randrange(7, 10))
    ]
    return f"{title}\n{' '.join(facts)}"


def texts(count: int, seed: int = 1) -> Iterator[tuple[str, int]]:
    """Training texts and their prices in dollars; the same for the same seed."""
    random = Random(seed)
    for _ in range(count):
        price = random.randrange(1, 1000)
        yield training_text(description(random), price), price


def write(path: Path, count: int, seed: int = 1) -> None:
    """The texts as JSON lines."""
    with path.open("w", encoding="utf-8") as file:
        for text, price in texts(count, seed):
            file.write(json.dumps({"text": text, "price": price}, ensure_ascii=False) + "\n")

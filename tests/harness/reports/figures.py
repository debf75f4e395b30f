"""Pictures of bytes and seconds as plain numbers: thousandths of a width, for the page to draw."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from tests.harness.latency.report import shown
from tests.harness.latency.rule import quartile

WIDTH = 1000
PARTS = {
    "quant_states": "quantisation's own data",
    "buffers": "buffers",
    "other": "biases and all else",
}
WHOLE = {
    "held": "all tensors",
    "footprint": "footprint, which does not see quantisation's own data",
    "computed": "footprint, computed",
    "allocated": "allocated on the device",
    "peak": "peak while loading",
}
BEYOND = 3  # times the larger figure: rounds above are counted, not drawn


@dataclass(frozen=True)
class Bar:
    """A bar of a picture; a limit is drawn as a line at its end."""

    label: str
    text: str
    start: float
    width: float
    limit: bool = False


@dataclass(frozen=True)
class Strip:
    """Rounds of one side as ticks; `box` is its lower quartile, median and upper quartile."""

    label: str
    text: str
    ticks: list[float]
    box: tuple[float, float, float]


@dataclass(frozen=True)
class Times:
    """Strips on one axis, which starts at zero; `mark` is the baseline's figure."""

    strips: list[Strip]
    mark: float | None
    axis: str


def size(number: int) -> str:
    """Bytes, and as people say them."""
    units = (("GB", 1e9), ("MB", 1e6), ("kB", 1e3))
    larger = (f" ({number / one:.1f} {unit})" for unit, one in units if abs(number) >= one)
    return f"{number:,} B" + next(larger, "")


def memory_bars(figures: dict[str, Any]) -> list[Bar]:
    """One bar behind the other up to all tensors, then what is compared with them; no empty one."""
    parts = {f"weights in {kind}": number for kind, number in figures["kinds"].items()}
    parts |= {label: figures[field] for field, label in PARTS.items()}
    whole = {label: figures[field] or 0 for field, label in WHOLE.items()}
    limit = figures["budget"]
    scale = WIDTH / max(1, limit, sum(parts.values()), *whole.values())
    bars, start = [], 0.0
    for label, number in parts.items():
        bars.append(Bar(label, size(number), start, max(0.0, number * scale)))
        start += number * scale
    bars += [Bar(label, size(number), 0, number * scale) for label, number in whole.items()]
    bars = [bar for bar in bars if bar.width]
    return [*bars, Bar("budget: must be free before", size(limit), 0, limit * scale, limit=True)]


def latency_times(latency: dict[str, Any]) -> Times:
    """Both sides' rounds on one axis."""
    sides = {"now": latency["now"], "baseline": latency["baseline"]}
    every = {name: [it for process in side for it in process] for name, side in sides.items()}
    middles = [median(map(quartile, side)) for side in sides.values() if side]
    end = min(max(map(max, filter(None, every.values()))), BEYOND * max(middles))
    strips = [strip(name, side, every[name], end) for name, side in sides.items() if every[name]]
    mark = WIDTH * middles[1] / end if len(middles) > 1 else None
    return Times(strips, mark, shown(end))


def strip(name: str, side: Sequence[Sequence[float]], rounds: list[float], end: float) -> Strip:
    """One side; its text holds every figure that is drawn."""
    low, middle, high = (quantile(rounds, share) for share in (0.25, 0.5, 0.75))
    late = sum(it > end for it in rounds)
    of = f"{len(side)} process{'es' * (len(side) > 1)}"
    text = (
        f"{shown(median(map(quartile, side)))} (median of {of}, of each the lower quartile); all "
        f"{len(rounds)} rounds: {shown(min(rounds))} to {shown(max(rounds))}, quartiles "
        f"{shown(low)}, {shown(middle)}, {shown(high)}"
    ) + (f"; {late} beyond the right edge" if late else "")
    scale = WIDTH / end
    ticks = [round(it * scale, 1) for it in rounds if it <= end]
    return Strip(name, text, ticks, (low * scale, min(middle, end) * scale, min(high, end) * scale))


def quantile(values: Sequence[float], share: float) -> float:
    """The value below which so much of them lies, between two neighbours by proportion."""
    ordered, place = sorted(values), share * (len(values) - 1)
    below = ordered[int(place)]
    return below + (ordered[min(int(place) + 1, len(ordered) - 1)] - below) * (place % 1)

"""The picture of a sweep: predicted against true price, coloured by the error's class."""

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.harness.generation import SEED

from .summary import RULE, colour

MOST_POINTS = 20_000  # more cannot be told apart
COLOURS = {"green": "tab:green", "orange": "tab:orange", "red": "tab:red"}


def chosen(pairs: Sequence[tuple[float, float]]) -> Sequence[tuple[float, float]]:
    """All pairs, or as many of them by lot as can be told apart."""
    if len(pairs) <= MOST_POINTS:
        return pairs
    return random.Random(SEED).sample(pairs, MOST_POINTS)


def figure(pairs: Sequence[tuple[float, float]], title: str) -> Any:
    """A matplotlib figure; ImportError without matplotlib."""
    from matplotlib.figure import Figure

    shown = chosen(pairs)
    picture = Figure(figsize=(8, 8), layout="constrained")
    axes = picture.add_subplot()
    most = max((price for pair in shown for price in pair), default=1.0) or 1.0
    axes.plot([0, most], [0, most], color="tab:blue", linewidth=1)
    for name, paint in COLOURS.items():
        points = [pair for pair in shown if colour(*pair) == name]
        axes.scatter(
            [truth for truth, _ in points],
            [got for _, got in points],
            s=6,
            color=paint,
            label=f"{name} {len(points):,}",
            gid=name,
            rasterized=len(shown) > MOST_POINTS // 4,  # an SVG of so many paths opens slowly
        )
    # Dollar signs would be read as mathematics.
    axes.set_xlabel(f"true price, dollars ({RULE})", parse_math=False, fontsize=8)
    axes.set_ylabel("predicted price, dollars")
    axes.set_title(title, parse_math=False, fontsize=10)
    axes.legend()
    return picture


def draw(pairs: Sequence[tuple[float, float]], title: str, path: Path, kind: str) -> None:
    """Write the picture as `svg` or `png`; ImportError without matplotlib."""
    figure(pairs, title).savefig(path, format=kind, dpi=150)

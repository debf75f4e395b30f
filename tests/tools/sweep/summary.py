"""How good the predicted prices are: errors in dollars and in the task's colours, and a picture."""

import math
import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

# The task's rule: an error below so many dollars, or below this share of the true price.
LIMITS = {"green": (40.0, 0.2), "orange": (80.0, 0.4), "red": (math.inf, math.inf)}
RULE = "green: error < $40 or < 20 % of the price; orange: < $80 or < 40 %; red: the rest"
MAX_POINTS = 20_000  # of the picture; more cannot be told apart
MAX_REASONS = 20


def color(truth: float, prediction: float) -> str:
    """The class of a prediction's error, by the task's rule: green, orange or red."""
    error = abs(prediction - truth)
    return next(
        name
        for name, (dollars, share) in LIMITS.items()
        if error < dollars or error < share * truth
    )


def figures(rows: Sequence[dict[str, Any]], bad: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The part of `summary.json` that follows from the rows alone; None where nothing compares.

    RMSLE is the root of the mean square of log(1 + prediction) - log(1 + truth).
    """
    pairs = _pairs(rows)
    count, colors = len(pairs), Counter(color(*pair) for pair in pairs)
    absolute = math.fsum(abs(got - truth) for truth, got in pairs)
    squares = math.fsum((math.log1p(got) - math.log1p(truth)) ** 2 for truth, got in pairs)
    predicted = sum(row["prediction"] is not None for row in rows)
    reasons = Counter(row["reason"] for row in bad)
    return {
        "rows": len(rows) + len(bad),
        "predicted": predicted,
        "unparsed": len(rows) - predicted,
        "bad_rows": {"count": len(bad), "reasons": dict(reasons.most_common(MAX_REASONS))},
        "compared": count,
        "mean_absolute_error_dollars": absolute / count if count else None,
        "rmsle": math.sqrt(squares / count) if count else None,
        "share_of_hits": colors["green"] / count if count else None,
        "colors": {name: colors[name] for name in LIMITS},
        "color_rule": RULE,
    }


def summary_lines(summary: dict[str, Any]) -> list[str]:
    """The summary as the terminal shows it."""
    bad, check, rate = summary["bad_rows"], summary["check"], summary["rows_per_second"]
    lines = [
        f"{summary['rows']:,} rows: {summary['predicted']:,} prices, {summary['unparsed']:,} "
        f"replies that name none, {bad['count']:,} bad rows",
        *(f"  {count:,} x {reason}" for reason, count in bad["reasons"].items()),
    ]
    if count := summary["compared"]:
        error, hits = summary["mean_absolute_error_dollars"], summary["share_of_hits"]
        lines.append(
            f"mean absolute error ${error:.2f}, RMSLE {summary['rmsle']:.3f}, hits {hits:.1%} of "
            f"{count:,}"
        )
    if count := check["price_goes_on"]:
        which = f"{count} of {check['rows']} checked prices"
        lines.append(f"{which} go on after the first token: use --method generate")
    return [*lines, f"{rate:.1f} rows/s on {summary['device']}" if rate else "no row was answered"]


def draw(rows: Sequence[dict[str, Any]], title: str, path: Path, kind: str) -> None:
    """Draw predicted against true prices as `svg` or `png`; ImportError without matplotlib."""
    from matplotlib.figure import Figure

    pairs = _pairs(rows)
    if len(pairs) > MAX_POINTS:
        pairs = random.Random(42).sample(pairs, MAX_POINTS)
    figure = Figure(figsize=(8, 8), layout="constrained")
    axes = figure.add_subplot()
    most = max((price for pair in pairs for price in pair), default=1.0) or 1.0
    axes.plot([0, most], [0, most], color="tab:blue", linewidth=1)
    for name in LIMITS:
        own = [pair for pair in pairs if color(*pair) == name]
        truths, predictions = [truth for truth, _ in own], [got for _, got in own]
        label, paint = f"{name} {len(own):,}", f"tab:{name}"
        points = axes.scatter(truths, predictions, s=6, color=paint, label=label, gid=name)
        points.set_rasterized(len(pairs) > MAX_POINTS // 4)  # an SVG of many paths opens slowly
    # Dollar signs would be read as mathematics.
    axes.set_xlabel(f"true price, dollars ({RULE})", parse_math=False, fontsize=8)
    axes.set_ylabel("predicted price, dollars")
    axes.set_title(title, parse_math=False, fontsize=10)
    axes.legend()
    figure.savefig(path, format=kind, dpi=150)


def _pairs(rows: Sequence[dict[str, Any]]) -> list[tuple[float, float]]:
    both = ((row["price"], row["prediction"]) for row in rows)
    return [(truth, got) for truth, got in both if truth is not None and got is not None]

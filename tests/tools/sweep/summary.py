"""What a sweep says of a model: errors of the prices, in dollars and in the task's colours."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Colour = Literal["green", "orange", "red"]
# The task's rule: an error below so many dollars, or below this share of the true price.
GREEN, ORANGE = (40.0, 0.2), (80.0, 0.4)
RULE = "green: error < $40 or < 20 % of the price; orange: < $80 or < 40 %; red: the rest"


@dataclass(frozen=True)
class Errors:
    """Of the rows that have both prices; None where there are none."""

    rows: int
    mean_absolute_error: float | None  # dollars
    rmsle: float | None
    hits: float | None  # share of green, 0 to 1
    colours: dict[Colour, int]


def colour(truth: float, prediction: float) -> Colour:
    """The class of a prediction's error, by the task's rule."""
    error = abs(prediction - truth)
    for name, (dollars, share) in (("green", GREEN), ("orange", ORANGE)):
        if error < dollars or error < share * truth:
            return name  # type: ignore[return-value]
    return "red"


def errors(pairs: Sequence[tuple[float, float]]) -> Errors:
    """The figures over pairs of true and predicted price.

    RMSLE is the root of the mean square of log(1 + prediction) - log(1 + truth).
    """
    count = len(pairs)
    colours = Counter(colour(truth, got) for truth, got in pairs)
    counts: dict[Colour, int] = {name: colours[name] for name in ("green", "orange", "red")}
    if not pairs:
        return Errors(0, None, None, None, counts)
    absolute = math.fsum(abs(got - truth) for truth, got in pairs)
    squares = math.fsum((math.log1p(got) - math.log1p(truth)) ** 2 for truth, got in pairs)
    return Errors(
        count, absolute / count, math.sqrt(squares / count), counts["green"] / count, counts
    )


def pairs_of(rows: Iterable[dict[str, Any]]) -> list[tuple[float, float]]:
    """True and predicted price of the rows that have both."""
    return [
        (row["price"], row["prediction"])
        for row in rows
        if row["price"] is not None and row["prediction"] is not None
    ]


def reasons(bad: Iterable[dict[str, Any]], most: int = 20) -> dict[str, int]:
    """Bad rows by reason, the most frequent first; rare ones together."""
    counts = Counter(row["reason"] for row in bad)
    found = dict(counts.most_common(most))
    rest = counts.total() - sum(found.values())
    return found | ({"other reasons": rest} if rest else {})


def seconds_of(parts: Iterable[tuple[str, float]]) -> float:
    """Wall seconds of all runs, from (rank, seconds) of each part: ranks work side by side.

    A rank is `0of2`; runs with another number of processes came after each other.
    """
    ranks: Counter[str] = Counter()
    for rank, seconds in parts:
        ranks[rank] += seconds  # type: ignore[assignment]
    worlds: dict[str, float] = {}
    for rank, seconds in ranks.items():
        world = rank.partition("of")[2]
        worlds[world] = max(worlds.get(world, 0.0), seconds)
    return sum(worlds.values())


def figures(rows: Sequence[dict[str, Any]], bad: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The figures of `summary.json` that follow from the rows alone."""
    found = errors(pairs_of(rows))
    return {
        "rows": len(rows) + len(bad),
        "predicted": sum(row["prediction"] is not None for row in rows),
        "unparsed": sum(row["prediction"] is None for row in rows),
        "bad_rows": {"count": len(bad), "reasons": reasons(bad)},
        "compared": found.rows,
        "mean_absolute_error_dollars": found.mean_absolute_error,
        "rmsle": found.rmsle,
        "share_of_hits": found.hits,
        "colours": dict(found.colours),
        "colour_rule": RULE,
    }


def lines(summary: dict[str, Any]) -> list[str]:
    """The summary for people."""
    bad, compared = summary["bad_rows"], summary["compared"]
    found = [
        f"{summary['rows']:,} rows: {summary['predicted']:,} prices, {summary['unparsed']:,} "
        f"replies that name none, {bad['count']:,} bad rows"
    ]
    found += [f"  {count:,} x {reason}" for reason, count in bad["reasons"].items()]
    if compared:
        found.append(
            f"mean absolute error ${summary['mean_absolute_error_dollars']:.2f}, RMSLE "
            f"{summary['rmsle']:.3f}, hits {summary['share_of_hits']:.1%} of {compared:,}"
        )
    if count := summary["check"]["price_goes_on"]:
        found.append(
            f"{count} of {summary['check']['rows']} checked prices go on behind the first token: "
            "use --method generate"
        )
    rate = summary["rows_per_second"]
    return [*found, f"{rate:.1f} rows/s on {summary['device']}" if rate else "nothing was asked"]

"""When a change of latency is one: an exact interval of the ratio of two sets of processes.

Rounds of one process are not independent: they share its memory layout, its clocks and its
neighbours. So a process counts once, by one figure (see recording.Timed).
Of two sets of processes all ratios are formed. If nothing changed, either set's processes could
have been the other's, and how often the k smallest ratios lie on one side is counted exactly
(Mann and Whitney's distribution): no shape of the noise is assumed.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from statistics import median, quantiles
from typing import Literal

from .spec import Rule

Word = Literal["PASS", "FAIL", "INCONCLUSIVE"]


@dataclass(frozen=True)
class Verdict:
    """`change` and the interval are relative: 0.21 is 21 % slower."""

    word: Word
    change: float
    low: float
    high: float

    def __str__(self) -> str:
        """`+21 %, interval +17..+25`; ends below 10 % have a digit more, for they decide."""
        ends = "..".join(
            f"{100 * end:+.{int(abs(end) < 0.1)}f}" if math.isfinite(end) else "?"
            for end in (self.low, self.high)
        )
        return f"{100 * self.change:+.0f} %, interval {ends}"


def lower_quartile(rounds: Sequence[float]) -> float:
    """The first quartile, by linear interpolation; a single value is its own."""
    return quantiles(rounds, n=4, method="inclusive")[0] if len(rounds) > 1 else rounds[0]


def format_seconds(seconds: float) -> str:
    """`61.2 ms`: three digits and the unit that fits."""
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-6:.3g} us"


@cache
def count_orders(first: int, second: int, inversions: int) -> int:
    """How many orders of two sets have so many pairs in which the second's is the smaller."""
    if inversions < 0 or first < 0 or second < 0:
        return 0
    if first == 0 or second == 0:
        return int(inversions == 0)
    return count_orders(first - 1, second, inversions - second) + count_orders(
        first, second - 1, inversions
    )


def ratios_to_drop(first: int, second: int, confidence: float) -> int:
    """How many of the sorted ratios to drop at either end for an interval; -1: too few processes.

    For 6 and 6 processes at 0.99 it is 2: the chance that the interval misses is 0.0087.
    """
    total, seen, dropped = math.comb(first + second, first), 0, -1
    while 2 * (seen + count_orders(first, second, dropped + 1)) <= (1 - confidence) * total:
        dropped += 1
        seen += count_orders(first, second, dropped)
    return dropped


def judge(baseline: Sequence[float], now: Sequence[float], rule: Rule) -> Verdict:
    """Compare two sets of processes, a figure each.

    FAIL: slower by the margin or more, and the interval lies above no change. PASS: the interval
    lies below a slow-down of the margin. INCONCLUSIVE: neither.
    """
    ratios = sorted(new / old - 1 for new in now for old in baseline)
    dropped = ratios_to_drop(len(baseline), len(now), rule.confidence)
    low, high = (ratios[dropped], ratios[-1 - dropped]) if dropped >= 0 else (-math.inf, math.inf)
    change = median(ratios)
    if change >= rule.margin and low > 0:
        return Verdict("FAIL", change, low, high)
    return Verdict("PASS" if high < rule.margin else "INCONCLUSIVE", change, low, high)

"""Whether one of two environments that take turns is slower, told as soon as it can be.

A turn of each is a pair of turns, and its figure is the logarithm of the ratio of their times: what
slows the machine for longer than a turn slows both, and is not in it. Of all figures of a benchmark
an interval of the 20 % trimmed mean is taken (Yuen's: its spread is that of the winsorized
figures, its quantile Student's), so that turns in which something else ran count no more than
others. Where nothing changed the two turns of a pair can be exchanged, so the figures are
symmetric.

Turns of one process share its memory's layout, which more turns do not average out. So turns come
from several pairs of processes, and `Rule.layout`, its measured spread, is added to the spread of
the mean. Where pairs of processes differ by more than both explain, their own spread stands in.

Every look at the figures is a chance to err. They are looked at only after the numbers of pairs of
processes in `Rule.looks`, and the rate of errors of the whole set is divided by its benchmarks and
its looks (Bonferroni): what is called slower though nothing changed, and what passes though it is
slower by the margin, has each a chance below `1 - Rule.confidence` in the whole set.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain
from statistics import fmean
from typing import Self

from ..spec import Rule
from ..statistics import Verdict

TRIMMED = 0.2  # of the figures, at either end
Ratios = Sequence[Sequence[float]]  # logarithms, by pair of processes and pair of turns


def log_ratios(there: Sequence[float], here: Sequence[float]) -> list[float]:
    """The figures of a pair of processes, from the seconds of the turns of each."""
    return [math.log(new / old) for old, new in zip(there, here, strict=True)]


@cache
def within(bound: float, freedom: int) -> float:
    """The chance that Student's t of so many degrees of freedom lies between -bound and bound.

    The finite sums of Abramowitz and Stegun 26.7.3 and 26.7.4.
    """
    angle = math.atan(bound / math.sqrt(freedom))
    odd = freedom % 2
    term, total = (math.cos(angle) if odd else 1.0), 0.0
    for step in range(2 + odd, freedom + 1, 2):
        total += term
        term *= math.cos(angle) ** 2 * (step - 1) / step
    total *= math.sin(angle)
    if not odd:
        return total
    return 2 / math.pi * (angle + (total if freedom > 1 else 0.0))


@cache
def quantile(chance: float, freedom: int) -> float:
    """The bound that Student's t exceeds with this chance, below a half, by bisection."""
    low, high = 0.0, 1.0
    while within(high, freedom) < 1 - 2 * chance:
        low, high = high, 2 * high
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if within(middle, freedom) < 1 - 2 * chance else (low, middle)
    return high


def _variance(figures: Sequence[float]) -> float:
    """As statistics.variance, whose exact fractions take twenty times as long."""
    mean = fmean(figures)
    return sum((each - mean) ** 2 for each in figures) / (len(figures) - 1)


def _trimmed(figures: Sequence[float]) -> tuple[float, float, int]:
    """Yuen's mean of two figures or more, its standard error, and the degrees of freedom."""
    number, cut = len(figures), int(TRIMMED * len(figures))
    kept = sorted(figures)[cut : number - cut]
    winsorized = [kept[0]] * cut + kept + [kept[-1]] * cut
    error = math.sqrt(_variance(winsorized) / number) * number / len(kept)
    return fmean(kept), error, len(kept) - 1


@dataclass(frozen=True)
class Estimate:
    """The mean logarithm of a benchmark, and what its interval is made of."""

    mean: float
    error: float  # the standard error of the mean, of the turns alone
    spread: float  # standard deviation of the means of the pairs of processes
    freedom: int
    pairs: int  # of processes

    @classmethod
    def of(cls, ratios: Ratios) -> Self:
        """The trimmed mean of five figures or more."""
        mean, error, freedom = _trimmed(list(chain.from_iterable(ratios)))
        means = [_trimmed(pair)[0] for pair in ratios]
        spread = math.sqrt(_variance(means)) if len(means) > 1 else 0.0
        return cls(mean, error, spread, freedom, len(ratios))

    def reach(self, rule: Rule, benchmarks: int, times: float = 1.0) -> float:
        """How far the interval reaches on either side of the mean, after `times` as many turns."""
        chance = (1 - rule.confidence) / (benchmarks * len(rule.looks))
        of_turns = math.hypot(self.error, rule.layout / math.sqrt(self.pairs))
        error = max(of_turns, self.spread / math.sqrt(self.pairs)) / math.sqrt(times)
        return quantile(chance, round(self.freedom * times)) * error


def judge_turns(ratios: Ratios, rule: Rule, benchmarks: int) -> Verdict:
    """Judge a benchmark at a look, one of so many benchmarks.

    FAIL: slower by the margin or more, and the interval lies above no change. PASS: the interval
    lies below a slow-down of the margin. INCONCLUSIVE: neither, so far.
    """
    estimate = Estimate.of(ratios)
    mean, reach = estimate.mean, estimate.reach(rule, benchmarks)
    change, low, high = (math.expm1(each) for each in (mean, mean - reach, mean + reach))
    if change >= rule.margin and low > 0:
        return Verdict("FAIL", change, low, high)
    return Verdict("PASS" if high < rule.margin else "INCONCLUSIVE", change, low, high)


def pairs_needed(ratios: Ratios, rule: Rule, benchmarks: int) -> int | None:
    """After how many pairs of processes there would be a verdict if mean and spread stay.

    None if the last look would not bring it either.
    """
    estimate, margin = Estimate.of(ratios), math.log1p(rule.margin)
    distance = estimate.mean if estimate.mean >= margin else margin - estimate.mean
    later = (pairs for pairs in rule.looks if pairs > len(ratios))
    fits = (n for n in later if estimate.reach(rule, benchmarks, n / len(ratios)) < distance)
    return next(fits, None)

"""Whether one of two environments that take turns is slower, told as soon as it can be.

A turn of each is a pair, and a pair's figure is the logarithm of the ratio of their times: what
slows the machine for minutes slows both, and is not in it. Of `n` pairs an interval of the mean is
taken by Student's distribution; where nothing changed, the two turns of a pair can be exchanged,
so the figures are symmetric, and longer tails than the normal make these intervals too wide, not
too narrow.

Every look at the figures is a chance to err. The pairs are looked at only after the numbers of
`Rule.looks`, and the rate of errors of the whole set is divided by its benchmarks and its looks
(Bonferroni): what is called slower though nothing changed, and what passes though it is slower by
the margin, has each a chance below `1 - Rule.confidence` in the whole set.
"""

import math
from collections.abc import Sequence
from functools import cache
from statistics import fmean, stdev

from .spec import Rule
from .statistics import Verdict


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


def half_width(logarithms: Sequence[float], rule: Rule, benchmarks: int, pairs: int) -> float:
    """How far the interval reaches on either side of the mean after so many pairs.

    The spread is that of the logarithms given, two or more.
    """
    chance = (1 - rule.confidence) / (benchmarks * len(rule.looks))
    return quantile(chance, pairs - 1) * stdev(logarithms) / math.sqrt(pairs)


def judge_pairs(logarithms: Sequence[float], rule: Rule, benchmarks: int) -> Verdict:
    """Judge a benchmark by the logarithms of its ratios, at a look, one of so many benchmarks.

    FAIL: slower by the margin or more, and the interval lies above no change. PASS: the interval
    lies below a slow-down of the margin. INCONCLUSIVE: neither, so far.
    """
    mean = fmean(logarithms)
    reach = half_width(logarithms, rule, benchmarks, len(logarithms))
    change, low, high = (math.expm1(each) for each in (mean, mean - reach, mean + reach))
    if change >= rule.margin and low > 0:
        return Verdict("FAIL", change, low, high)
    return Verdict("PASS" if high < rule.margin else "INCONCLUSIVE", change, low, high)


def pairs_needed(logarithms: Sequence[float], rule: Rule, benchmarks: int) -> int | None:
    """After how many pairs in all there would be a verdict if mean and spread stay as they are.

    None if the last look would not bring it either.
    """
    mean, margin = fmean(logarithms), math.log1p(rule.margin)
    distance = mean if mean >= margin else margin - mean
    later = (pairs for pairs in rule.looks if pairs > len(logarithms))
    fits = (n for n in later if half_width(logarithms, rule, benchmarks, n) < distance)
    return next(fits, None)

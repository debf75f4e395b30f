"""The rule for environments that take turns: against printed tables, on noise, and on changes."""

import math
import random
from collections import Counter
from statistics import fmean

import pytest

from tests.harness.latency.spec import read_spec
from tests.harness.latency.statistics import Word
from tests.harness.latency.turns.sequential import Estimate, judge_turns, pairs_needed, quantile
from tests.tools.measure.turns_power import first_word

RULE = read_spec().rule
BENCHMARKS = 6
TURNS = 20  # of a pair of processes


@pytest.mark.parametrize(
    ("chance", "freedom", "bound"),
    [
        *((0.025, 1, 12.706), (0.025, 2, 4.303), (0.025, 4, 2.776), (0.005, 5, 4.032)),
        *((0.0005, 10, 4.587), (0.0005, 3, 12.924), (0.005, 30, 2.750), (0.001, 19, 3.579)),
    ],
)
def test_quantiles_are_those_of_printed_tables(chance: float, freedom: int, bound: float) -> None:
    """Student's t as statistics books print it, to three digits."""
    assert round(quantile(chance, freedom), 3) == bound


def test_trimmed_mean_is_wilcox_own_example() -> None:
    """Wilcox, Introduction to Robust Estimation, 3.1: n 19, mean 282.7, winsorized sd 114.29."""
    figures = [77, 87, 88, 114, 151, 210, 219, 246, 253, 262, 296, 299, 306, 376, 428, 515, 666]
    figures += [1310, 2611]
    estimate = Estimate.of([figures[:9], figures[9:]])
    assert round(estimate.mean, 1) == 282.7
    # Its sample winsorized variance is 21,551.4; the error is s / ((1 - 2 x 3/19) sqrt(19)).
    assert round(estimate.error, 1) == round(math.sqrt(21551.4) / (13 / 19 * math.sqrt(19)), 1)
    assert (estimate.freedom, estimate.pairs) == (12, 2)


def test_no_single_turn_moves_the_mean() -> None:
    calm = [0.01 * (number % 3 - 1) for number in range(30)]
    for wild in (5.0, -5.0):
        assert abs(Estimate.of([calm, [*calm, wild]]).mean) < 0.002
    assert fmean([*calm, 5.0]) > 0.1


def test_pairs_that_contradict_each_other_are_no_verdict() -> None:
    """Many calm turns of a process pair tell nothing of the next, if they differ by 10 %."""
    calm = [0.001 * (number % 3 - 1) for number in range(60)]
    ratios = [[offset + each for each in calm] for offset in (0.12, 0.02, 0.13, 0.01)]
    assert judge_turns(ratios, RULE, BENCHMARKS).word == "INCONCLUSIVE"


def drawn(draw: random.Random, spread: float, tails: bool) -> list[float]:
    """The figures of a pair of processes that differ by the layout alone."""
    offset = draw.gauss(0, RULE.layout)
    # One turn of ten is five times as noisy, as where something else ran beside it.
    noise = (5 if tails and draw.random() < 0.1 else 1 for _ in range(TURNS))
    return [offset + times * draw.gauss(0, spread) for times in noise]


def words(change: float, spread: float, tails: bool, sets: int) -> list[set[Word]]:
    """The verdicts on so many sets of benchmarks that are slower by `change`."""
    draw = random.Random(42)
    return [
        {
            first_word(lambda: drawn(draw, spread, tails), change, RULE, BENCHMARKS)[0]
            for _ in range(BENCHMARKS)
        }
        for _ in range(sets)
    ]


@pytest.mark.parametrize("tails", [False, True])
@pytest.mark.parametrize("spread", [0.01, 0.1])
def test_errors_of_a_whole_set_are_rarer_than_the_rule_says(spread: float, tails: bool) -> None:
    """1 % of sets of six unchanged benchmarks may fail, and 1 % at the margin pass.

    Of 100 sets that is 1, and more than 4 in one of 250 runs.
    """
    assert sum("FAIL" in one for one in words(0, spread, tails, 100)) <= 4
    assert sum("PASS" in one for one in words(RULE.margin, spread, tails, 100)) <= 4


def test_ten_percent_is_found_and_nothing_passes() -> None:
    for change, word in ((0.1, "FAIL"), (0.0, "PASS")):
        assert Counter(map(tuple, words(change, 0.05, True, 50))) == {(word,): 50}


def test_what_a_verdict_would_take_is_a_look_that_brings_it() -> None:
    """Of a spread that stays, the number named is the first look with a verdict."""
    pair = [0.08 * (number % 3 - 1) for number in range(12)]
    ratios = 4 * [pair]
    assert judge_turns(ratios, RULE, BENCHMARKS).word == "INCONCLUSIVE"
    number = pairs_needed(ratios, RULE, BENCHMARKS)
    assert number in RULE.looks and number > 4
    assert judge_turns(number * [pair], RULE, BENCHMARKS).word == "PASS"
    assert pairs_needed([[0.5, -0.5, 0.5, -0.5]], RULE, BENCHMARKS) is None

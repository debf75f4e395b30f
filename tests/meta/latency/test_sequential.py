"""The rule for environments that take turns: against printed tables, on noise, and on changes."""

import math
import random
from collections import Counter

import pytest

from tests.harness.latency.sequential import judge_pairs, pairs_needed, quantile
from tests.harness.latency.spec import read_spec

RULE = read_spec().rule
BENCHMARKS = 6


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


def first_word(change: float, spread: float, draw: random.Random, tails: bool) -> str:
    """The verdict on a benchmark that is slower by `change`, drawn until there is one."""
    logarithms: list[float] = []
    for pair in range(1, RULE.looks[-1] + 1):
        # One pair of ten is five times as noisy, as where something else ran beside it.
        noisy = 5 if tails and draw.random() < 0.1 else 1
        logarithms.append(math.log1p(change) + noisy * draw.gauss(0, spread))
        if pair in RULE.looks:
            word = judge_pairs(logarithms, RULE, BENCHMARKS).word
            if word != "INCONCLUSIVE":
                return word
    return "INCONCLUSIVE"


@pytest.mark.parametrize("tails", [False, True])
@pytest.mark.parametrize("spread", [0.01, 0.03])
def test_errors_of_a_whole_set_are_rarer_than_the_rule_says(spread: float, tails: bool) -> None:
    """1 % of sets of six unchanged benchmarks may fail, and 1 % at the margin pass.

    Of 200 sets that is 2, and more than 6 in one of 200 runs.
    """
    draw, sets = random.Random(42), 200
    unchanged = [
        {first_word(0, spread, draw, tails) for _ in range(BENCHMARKS)} for _ in range(sets)
    ]
    assert sum("FAIL" in words for words in unchanged) <= 6
    slower = [
        {first_word(RULE.margin, spread, draw, tails) for _ in range(BENCHMARKS)}
        for _ in range(sets)
    ]
    assert sum("PASS" in words for words in slower) <= 6


def test_ten_percent_is_found_and_nothing_passes() -> None:
    draw = random.Random(42)
    tenth = Counter(first_word(0.10, 0.02, draw, False) for _ in range(200))
    same = Counter(first_word(0, 0.02, draw, False) for _ in range(200))
    assert tenth == {"FAIL": 200} and same == {"PASS": 200}


def test_what_a_verdict_would_take_is_a_look_that_brings_it() -> None:
    """Of a spread that stays, the number named is the first look with a verdict."""
    logarithms = [0.03, -0.03, 0.03, -0.03, 0.0]
    assert judge_pairs(logarithms, RULE, BENCHMARKS).word == "INCONCLUSIVE"
    number = pairs_needed(logarithms, RULE, BENCHMARKS)
    assert number in RULE.looks and number > 5
    assert judge_pairs((logarithms * 8)[:number], RULE, BENCHMARKS).word == "PASS"
    assert pairs_needed([0.5, -0.5], RULE, BENCHMARKS) is None

"""How often the rule for two environments in turns errs and detects, on recorded noise.

FILES are comparisons of an environment with itself, made by `python -m tests.tools.latency
--against-python "$(which python)" --save FILE`. Over and over a whole set of benchmarks is drawn:
for each as many recorded pairs of processes as its verdict takes, every turn of them as it was,
and there and here exchanged by chance. As they are, none may FAIL; at the margin none may PASS.
"""

import argparse
import json
import math
import random
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from tests.harness.console import exit_status
from tests.harness.errors import DataError
from tests.harness.latency.spec import Rule, read_spec
from tests.harness.latency.statistics import Word
from tests.harness.latency.turns.sequential import judge_turns

SLOWER = (0.0, 0.05, 0.10)
Recorded = dict[str, list[list[float]]]  # logarithms of ratios by benchmark, process pair and turn


def read_ratios(files: list[Path]) -> Recorded:
    """The pairs of all files; DataError names a file that has none."""
    found: Recorded = {}
    for file in files:
        try:
            benchmarks = json.loads(file.read_bytes())["benchmarks"]
            for name, one in benchmarks.items():
                found.setdefault(name, []).extend(one["ratios"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(
                f"{file}: not a comparison ({error!r}); write it by tests.tools.latency --save"
            ) from None
    return {name: pairs for name, pairs in found.items() if pairs}


def first_word(
    pair: Callable[[], list[float]], slower: float, rule: Rule, benchmarks: int
) -> tuple[Word, int]:
    """The verdict on a benchmark, its pairs drawn until there is one, and how many that took."""
    ratios: list[list[float]] = []
    for number in range(1, rule.looks[-1] + 1):
        ratios.append([math.log1p(slower) + each for each in pair()])
        if number in rule.looks:
            word = judge_turns(ratios, rule, benchmarks).word
            if word != "INCONCLUSIVE":
                return word, number
    return "INCONCLUSIVE", rule.looks[-1]


def main() -> None:
    """Print a line a benchmark and slow-down, and the share of sets that err."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.tools.measure.turns_power", description=__doc__
    )
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE")
    parser.add_argument("--draws", type=int, default=10_000, help="of sets (default: 10,000)")
    options = parser.parse_args()
    recorded, rule = read_ratios(options.files), read_spec().rule
    draw = random.Random(42)
    for slower in SLOWER:
        counts = {name: Counter[str]() for name in recorded}
        pairs: Counter[str] = Counter()
        sets: Counter[str] = Counter()
        for _ in range(options.draws):
            words = set()
            for name, known in recorded.items():

                def pair(known: list[list[float]] = known) -> list[float]:
                    sign = draw.choice((-1, 1))
                    return [sign * each for each in draw.choice(known)]

                word, number = first_word(pair, slower, rule, len(recorded))
                counts[name][word] += 1
                pairs[name] += number
                words.add(word)
            sets.update(words)
        for name, words_of in counts.items():
            mean = pairs[name] / options.draws
            print(f"{name:<44} x {1 + slower:.2f}  {dict(words_of)}, {mean:.1f} pairs on average")
        shares = {word: f"{sets[word] / options.draws:.2%}" for word in ("FAIL", "PASS")}
        print(f"sets x {1 + slower:.2f} of {options.draws} with a FAIL, with a PASS: {shares}")


if __name__ == "__main__":
    sys.exit(exit_status(main))

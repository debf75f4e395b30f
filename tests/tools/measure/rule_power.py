"""How often the latency rule errs and detects, on recorded samples.

FILE is a recording of unchanged code, made by
`pytest tests/benchmarks --latency-save FILE --latency-processes 24`. Over and over, two sets of
--processes are drawn from it, each process as often as chance has it. As they are, they must not
be called different; with one set's seconds made 10 % longer, they must.
"""

import argparse
import random
import sys
from collections import Counter
from pathlib import Path

from tests.harness.console import exit_status
from tests.harness.latency.recording import read_recording
from tests.harness.latency.spec import Rule, read_spec
from tests.harness.latency.statistics import judge

COMPARISONS = 200
SLOWER = 1.10


def _verdicts(figures: list[float], number: int, rule: Rule, factor: float) -> Counter[str]:
    generator = random.Random(42)
    counts: Counter[str] = Counter()
    for _ in range(COMPARISONS):
        old, new = (generator.choices(figures, k=number) for _ in range(2))
        counts[judge(old, [factor * seconds for seconds in new], rule).word] += 1
    return counts


def main() -> None:
    """Print a line a benchmark, and the sums."""
    rule, _ = read_spec()
    parser = argparse.ArgumentParser(
        prog="python -m tests.tools.measure.rule_power", description=__doc__
    )
    parser.add_argument("file", type=Path, metavar="FILE")
    parser.add_argument(
        "--processes", type=int, default=rule.processes, help="(default: the rule's)"
    )
    options = parser.parse_args()
    sums: dict[float, Counter[str]] = {1.0: Counter(), SLOWER: Counter()}
    for name, timed in read_recording(options.file).benchmarks.items():
        for factor, total in sums.items():
            counts = _verdicts(timed.figures(), options.processes, rule, factor)
            total.update(counts)
            print(f"{name:<44} x {factor:.2f}  {dict(counts)}")
    for factor, total in sums.items():
        print(f"all x {factor:.2f}: {dict(total)}, FAIL {total['FAIL'] / total.total():.1%}")


if __name__ == "__main__":
    sys.exit(exit_status(main))

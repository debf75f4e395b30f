"""How often the rule errs and finds, on recorded samples: `python -m` this module FILE [NUMBER].

FILE is a recording of unchanged code, made by
`pytest tests/benchmarks --latency-save FILE --latency-processes 24`. Over and over, two sets of
NUMBER processes (those of the rule) are drawn from it, each process as often as chance has it. As
they are, they must not be called different; with one set's seconds made 10 % longer, they must.
"""

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


def words(figures: list[float], number: int, rule: Rule, factor: float) -> Counter[str]:
    """How often each verdict was given for a slow-down by `factor`."""
    generator = random.Random(42)
    found: Counter[str] = Counter()
    for _ in range(COMPARISONS):
        old, new = (generator.choices(figures, k=number) for _ in range(2))
        found[judge(old, [factor * it for it in new], rule).word] += 1
    return found


def main() -> None:
    """Print a line a benchmark, and the sums."""
    recording, (rule, _) = read_recording(Path(sys.argv[1])), read_spec()
    number = int(sys.argv[2]) if len(sys.argv) > 2 else rule.processes
    sums: dict[float, Counter[str]] = {1.0: Counter(), SLOWER: Counter()}
    for name, timed in recording.benchmarks.items():
        for factor, total in sums.items():
            counts = words(timed.figures(), number, rule, factor)
            total.update(counts)
            print(f"{name:<44} x {factor:.2f}  {dict(counts)}")
    for factor, total in sums.items():
        print(f"all x {factor:.2f}: {dict(total)}, FAIL {total['FAIL'] / total.total():.1%}")


if __name__ == "__main__":
    sys.exit(exit_status(main))

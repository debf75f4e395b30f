"""How often the rule errs and finds, on recorded samples: `python -m` this module FILE.

FILE is a recording of unchanged code with many processes, made by
`pytest tests/benchmarks --latency-save FILE --latency-processes 40`. Over and over, two sets of
processes are drawn from it without overlap. As they are, they must not be called different; with
one set's seconds made 10 % longer, they must.
"""

import random
import sys
from collections import Counter
from pathlib import Path

from tests.harness.latency.baseline import Processes, read_recording
from tests.harness.latency.data import Rule, latency
from tests.harness.latency.rule import judge

COMPARISONS = 200
SLOWER = 1.10


def words(seconds: Processes, rule: Rule, factor: float, generator: random.Random) -> Counter[str]:
    """How often each verdict was given for a slow-down by `factor`."""
    found: Counter[str] = Counter()
    for _ in range(COMPARISONS):
        drawn = generator.sample(range(len(seconds)), 2 * rule.processes)
        old, new = drawn[: rule.processes], drawn[rule.processes :]
        later = [[factor * it for it in seconds[index]] for index in new]
        found[judge([seconds[index] for index in old], later, rule).word] += 1
    return found


def main() -> None:
    """Print a line a benchmark, and the sums."""
    recording, (rule, _) = read_recording(Path(sys.argv[1])), latency()
    sums: dict[float, Counter[str]] = {1.0: Counter(), SLOWER: Counter()}
    for name, timed in recording.benchmarks.items():
        processes = timed.relative()
        if len(processes) < 2 * rule.processes:
            sys.exit(f"{name}: {len(processes)} processes, {2 * rule.processes} are needed")
        for factor, total in sums.items():
            counts = words(processes, rule, factor, random.Random(42))
            total.update(counts)
            print(f"{name:<44} x {factor:.2f}  {dict(counts)}")
    for factor, total in sums.items():
        print(f"all x {factor:.2f}: {dict(total)}, FAIL {total['FAIL'] / total.total():.1%}")


if __name__ == "__main__":
    main()

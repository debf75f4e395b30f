"""A plugin that shuffles the tests by SHUFFLE; the command runs the suite under many seeds.

`python -m tests.meta.support.shuffle 20` runs tests/conformance in 20
orders, and once under `-n 2`.
"""

import os
import random
import subprocess
import sys
import time

import pytest

PLUGIN = "tests.meta.support.shuffle"


def pytest_report_header() -> str:
    """Say which order it is."""
    return f"tests are shuffled: seed {os.environ['SHUFFLE']}"


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Any order must be green: no test may need another before it."""
    random.Random(int(os.environ["SHUFFLE"])).shuffle(items)


def run(*options: str, seed: int) -> tuple[int, str]:
    """Exit code and last line of a run in the order of a seed."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--gate"]
    done = subprocess.run(
        [*command, "tests/conformance", "-p", PLUGIN, *options],
        env={**os.environ, "SHUFFLE": str(seed)},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, (done.stdout.splitlines() or ["it said nothing"])[-1]


def main(arguments: list[str]) -> int:
    """Print a line for each run; 1 if any was red."""
    count = int(arguments[0]) if arguments else 20
    runs = [(f"seed {seed}", seed, ()) for seed in range(1, count + 1)]
    codes = []
    for name, seed, options in [*runs, ("under -n 2", 0, ("-n", "2"))]:
        start = time.monotonic()
        code, last = run(*options, seed=seed)
        codes.append(code)
        print(f"{name}: exit code {code}, {last} ({time.monotonic() - start:.0f} s)", flush=True)
    print(f"{sum(code != 0 for code in codes)} of {len(codes)} runs are red")
    return int(any(codes))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

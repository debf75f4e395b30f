"""What the conformance tests cost beside the least they could.

Prints CPU seconds (user + system, of the process and its children) of warm runs, in turns so that
all see the same machine: `pytest tests/conformance`; the floor, a process that imports transformers
and loads the same tokenizers once; and what pytest alone takes for as many empty tests. Both
ratios of two checkouts may be compared: the machine's speed is in neither.
"""

import argparse
import os
import re
import resource
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from tests.harness.console import exit_status
from tests.harness.data.registry import registry
from tests.harness.files import PROJECT
from tests.harness.sources.bundle import bundle

FLOOR = """
import sys
from transformers import AutoTokenizer
for folder in sys.argv[1:]:
    AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
"""
EMPTY = """
import pytest

@pytest.mark.parametrize(("model", "case"), [(n, n) for n in range({count})])
def test_nothing(model, case):
    pass
"""
PYTEST = (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider")


def _cpu_seconds(command: Sequence[str], cwd: Path = PROJECT) -> tuple[float, str]:
    """CPU seconds of a command that must succeed, and what it printed."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = dict(os.environ, HF_HUB_OFFLINE="1", TRANSFORMERS_VERBOSITY="error")
    done = subprocess.run(
        command, cwd=cwd, env=environment, check=True, stdout=subprocess.PIPE, text=True
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, done.stdout


def main() -> None:
    """Measure in turns and print the medians and their ratios."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.tools.measure.conformance_speed", description=__doc__
    )
    parser.add_argument("--rounds", type=int, default=3, help="(default: 3)")
    options = parser.parse_args()
    folders = [str(folder) for folder in bundle(registry().values(), print).values()]
    floor, suite = (sys.executable, "-c", FLOOR, *folders), (*PYTEST, "tests/conformance")
    _cpu_seconds(floor)  # this and the next warm the file system's cache
    count = int(re.findall(r"(\d+) passed", _cpu_seconds(suite)[1])[0])
    with TemporaryDirectory() as name:
        Path(name, "pytest.ini").write_text("[pytest]\naddopts = -p no:logging -p no:anyio\n")
        Path(name, "test_empty.py").write_text(EMPTY.format(count=count))
        commands = ((floor, PROJECT), (suite, PROJECT), (PYTEST, Path(name)))
        rounds = [
            [_cpu_seconds(*command)[0] for command in commands] for _ in range(options.rounds)
        ]
    low, checks, empty = (median(column) for column in zip(*rounds, strict=True))
    print(
        f"floor {low:.2f} s CPU; {count} checks {checks:.2f} s; {count} empty tests {empty:.2f} s"
    )
    print(f"suite / floor = {checks / low:.2f}; ", end="")
    print(f"suite / (floor + empty tests) = {checks / (low + empty):.2f}")


if __name__ == "__main__":
    sys.exit(exit_status(main))

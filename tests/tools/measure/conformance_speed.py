"""What the conformance tests cost beside the least they could.

Prints CPU seconds (user + system, of the process and its children) of warm runs, in turns so that
all see the same machine: `pytest tests/conformance`; the floor, a process that imports transformers
and loads the same tokenizers once; and what pytest alone takes for as many empty tests. `--other`
names a second checkout, whose tests take their turns too: before and after a change in one run.
"""

import argparse
import os
import re
import resource
import subprocess
import sys
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from tests.harness.console import exit_status
from tests.harness.files import PROJECT
from tests.harness.sources.bundle import bundle
from tests.harness.sources.folders import select_models

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


def _cpu_seconds(command: list[str], cwd: Path = PROJECT) -> tuple[float, str]:
    """CPU seconds of a command that must succeed, and what it printed."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = dict(os.environ, HF_HUB_OFFLINE="1", TRANSFORMERS_VERBOSITY="error")
    done = subprocess.run(
        command, cwd=cwd, env=environment, check=True, stdout=subprocess.PIPE, text=True
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, done.stdout


def _count(checkout: Path) -> int:
    """How many conformance tests pass there; it also warms the file system's cache."""
    _, output = _cpu_seconds([*PYTEST, "tests/conformance"], checkout)
    return int(re.findall(r"(\d+) passed", output)[0])


def _empty_tests(folder: Path, count: int) -> Path:
    """A folder with so many tests that do nothing."""
    folder.mkdir()
    (folder / "pytest.ini").write_text("[pytest]\naddopts = -p no:logging -p no:anyio\n")
    (folder / "test_empty.py").write_text(EMPTY.format(count=count))
    return folder


def main() -> None:
    """Measure in turns and print the medians and their ratios."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.tools.measure.conformance_speed", description=__doc__
    )
    other = "a second checkout to measure in turns (default: none)"
    parser.add_argument("--other", type=Path, action="append", metavar="FOLDER", help=other)
    parser.add_argument("--rounds", type=int, default=3, help="(default: 3)")
    options = parser.parse_args()
    checkouts = [PROJECT, *(folder.resolve() for folder in options.other or [])]
    folders = [str(folder) for folder in bundle(select_models((), "bundle"), print).values()]
    floor = [sys.executable, "-c", FLOOR, *folders]
    _cpu_seconds(floor)  # warms the file system's cache
    counts = [_count(checkout) for checkout in checkouts]
    with TemporaryDirectory() as name:
        commands = [(floor, PROJECT)]
        for checkout, count in zip(checkouts, counts, strict=True):
            commands.append(([*PYTEST, "tests/conformance"], checkout))
            empty = Path(name, str(count))
            commands.append(([*PYTEST], empty if empty.exists() else _empty_tests(empty, count)))
        rounds = [
            [_cpu_seconds(*command)[0] for command in commands] for _ in range(options.rounds)
        ]
    low, *rest = (median(column) for column in zip(*rounds, strict=True))
    print(f"floor {low:.2f} s CPU")
    for checkout, count, suite, none in zip(checkouts, counts, rest[::2], rest[1::2], strict=True):
        print(
            f"{checkout}: {count} checks {suite:.2f} s; {count} empty tests {none:.2f} s; ", end=""
        )
        print(f"suite / floor = {suite / low:.2f}; ", end="")
        print(f"suite / (floor + empty tests) = {suite / (low + none):.2f}")


if __name__ == "__main__":
    sys.exit(exit_status(main))

"""What the conformance tests cost beside the least they could: `python -m` this module.

Prints CPU seconds (user + system, of the process and its children) of warm runs, in turns so that
all see the same machine: `pytest tests/conformance`; the floor, a process that imports transformers
and loads the same tokenizers once; and what pytest alone takes for as many empty tests.
"""

import os
import re
import resource
import subprocess
import sys
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from tests.harness.console import exit_status
from tests.harness.data.registry import registry
from tests.harness.sources.bundle import bundle

PROJECT = Path(__file__).resolve().parents[3]
ROUNDS = 3
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


def cpu_seconds(command: list[str], cwd: Path = PROJECT) -> tuple[float, str]:
    """CPU seconds of a command that must succeed, and what it printed."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = dict(os.environ, HF_HUB_OFFLINE="1", TRANSFORMERS_VERBOSITY="error")
    done = subprocess.run(
        command, cwd=cwd, env=environment, check=True, stdout=subprocess.PIPE, text=True
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, done.stdout


def main() -> None:
    """Measure in turns and print the medians and their ratio."""
    folders = [str(folder) for folder in bundle(registry().values(), print).values()]
    floor = [sys.executable, "-c", FLOOR, *folders]
    pytest = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    cpu_seconds(floor)  # warm the file system's cache
    count = int(re.findall(r"(\d+) passed", cpu_seconds([*pytest, "tests/conformance"])[1])[0])
    with TemporaryDirectory() as name:
        (Path(name) / "pytest.ini").write_text("[pytest]\naddopts = -p no:logging -p no:anyio\n")
        (Path(name) / "test_empty.py").write_text(EMPTY.format(count=count))
        rounds = [
            (
                cpu_seconds(floor)[0],
                cpu_seconds([*pytest, "tests/conformance"])[0],
                cpu_seconds(pytest, Path(name))[0],
            )
            for _ in range(ROUNDS)
        ]
    low, suite, empty = (median(column) for column in zip(*rounds, strict=True))
    print(f"floor {low:.2f} s CPU; {count} checks {suite:.2f} s; {count} empty tests {empty:.2f} s")
    print(f"suite / floor = {suite / low:.2f}; suite / (floor + empty tests) = ", end="")
    print(f"{suite / (low + empty):.2f}")


if __name__ == "__main__":
    sys.exit(exit_status(main))

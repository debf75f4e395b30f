"""What the conformance tests cost beside the least they could: `python -m` this module.

Prints CPU seconds (user + system, of the process and its children) of warm runs, in turns so that
both see the same machine: `pytest tests/conformance`, and the floor, a process that imports
transformers and loads the same tokenizers once.
"""

import os
import resource
import subprocess
import sys
from pathlib import Path
from statistics import median

from tests.harness.bundle import bundle
from tests.harness.models import registry

PROJECT = Path(__file__).resolve().parents[2]
ROUNDS = 3
FLOOR = """
import sys
from transformers import AutoTokenizer
for folder in sys.argv[1:]:
    AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
"""


def cpu_seconds(command: list[str]) -> float:
    """CPU seconds of a command that must succeed."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = dict(os.environ, HF_HUB_OFFLINE="1", TRANSFORMERS_VERBOSITY="error")
    subprocess.run(command, cwd=PROJECT, env=environment, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Measure in turns and print the medians and their ratio."""
    folders = [str(folder) for folder in bundle(registry().values(), print).values()]
    floor = [sys.executable, "-c", FLOOR, *folders]
    suite = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/conformance"]
    cpu_seconds(floor), cpu_seconds(suite)  # warm the file system's cache
    pairs = [(cpu_seconds(floor), cpu_seconds(suite)) for _ in range(ROUNDS)]
    for low, high in pairs:
        print(f"floor {low:.2f} s CPU, pytest tests/conformance {high:.2f} s CPU")
    low, high = median(low for low, _ in pairs), median(high for _, high in pairs)
    print(f"median: floor {low:.2f} s, suite {high:.2f} s: {high / low:.2f} times the floor")


if __name__ == "__main__":
    main()

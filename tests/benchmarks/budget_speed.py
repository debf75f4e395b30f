"""How fast the token budget is beside the bare tokenizer: `python -m` this module.

Slices of made-up texts in turns, so that all see the same machine: the budget's path (read the
file, count, report, write), `encode_batch_fast` alone on the same texts in memory, and the loop
over `AutoTokenizer.encode` on some of them. Then the whole command, in a process of its own, on few
and on many rows: seconds, CPU seconds, peak memory.
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from tests.benchmarks.price_texts import texts, write
from tests.harness.budget_report import Report
from tests.harness.bundle import bundle
from tests.harness.data_sets import DataSet
from tests.harness.findings import findings, findings_file
from tests.harness.models import registry
from tests.harness.price_rows import read_rows
from tests.harness.token_counts import count_rows, open_tokenizer

PROJECT = Path(__file__).resolve().parents[2]
SLICE, LOOP = 10_000, 500  # texts of a slice; how many of them the loop takes


def path(file: Path, tokenizer: Any) -> None:
    """All that the command does but its start."""
    report = Report(limit=179, train_limit=182)
    with findings_file(file.with_suffix(".out.jsonl")) as put:
        for counted in count_rows(read_rows(DataSet(str(file))), tokenizer, 182):
            report.add(counted)
            put(findings(counted, 179))
    assert report.histogram.total() == SLICE


def bare(rows: list[str], tokenizer: Any) -> None:
    """The tokenizer alone, in one call."""
    tokenizer.encode_batch_fast(rows, add_special_tokens=False)


def loop(rows: list[str], auto: Any) -> None:
    """As people write it."""
    for text in rows:
        auto.encode(text)


def clock(step: Callable[..., None], *arguments: Any) -> float:
    """Seconds that a step takes."""
    started = time.perf_counter()
    step(*arguments)
    return time.perf_counter() - started


def slices(count: int, folder: Path, model: Path) -> None:
    """Print rows a second of all three, and the medians of their ratios slice by slice."""
    from transformers import AutoTokenizer

    tokenizer = open_tokenizer(model)
    auto = AutoTokenizer.from_pretrained(str(model), trust_remote_code=False)
    rates: list[tuple[float, float, float]] = []
    for number in range(count + 1):
        file = folder / f"{number}.jsonl"
        write(file, SLICE, seed=number)
        rows = [text for text, _ in texts(SLICE, seed=number)]
        seconds = (
            clock(path, file, tokenizer),
            clock(bare, rows, tokenizer),
            clock(loop, rows[:LOOP], auto),
        )
        rates.append((SLICE / seconds[0], SLICE / seconds[1], LOOP / seconds[2]))
    rates = rates[1:]  # the first warms up
    for name, column in zip(("budget", "bare", "loop"), zip(*rates, strict=True), strict=True):
        print(f"{name}: {median(column):,.0f} rows/s (median of {count} slices of {SLICE:,})")
    print(f"budget / bare = {median(a / b for a, b, _ in rates):.2f}")
    print(f"budget / loop = {median(a / c for a, _, c in rates):.2f}", flush=True)


def command(rows: int, folder: Path) -> None:
    """Print what the whole command takes for that many rows."""
    file = folder / "all.jsonl"
    write(file, rows)
    arguments = ["tests.harness.budget", str(file), "--out", str(folder / "out.parquet")]
    started = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", *arguments], cwd=PROJECT)
    _, status, used = os.wait4(process.pid, 0)
    seconds, cpu = time.perf_counter() - started, used.ru_utime + used.ru_stime
    assert os.waitstatus_to_exitcode(status) in (0, 1)
    print(f"{rows:,} rows: {seconds:.1f} s, {cpu:.1f} s CPU, peak {used.ru_maxrss / 1024:.0f} MiB")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slices", type=int, default=10)
    parser.add_argument("--rows", type=int, nargs="*", default=[50_000, 400_000])
    options = parser.parse_args()
    os.environ["TOKENIZERS_PARALLELISM"] = "true"
    model = bundle([registry()["llama3_1"]], print)["llama3_1"]
    with TemporaryDirectory() as name:
        slices(options.slices, Path(name), model)
        for rows in options.rows:
            command(rows, Path(name))


if __name__ == "__main__":
    main()

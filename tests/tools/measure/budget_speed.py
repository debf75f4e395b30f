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
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from tests.harness.console import exit_status
from tests.harness.data.registry import registry
from tests.harness.prices.dataset import DataSet, read_rows
from tests.harness.sources.bundle import bundle
from tests.tools.budget.count import BATCH, count_rows, open_tokenizer
from tests.tools.budget.output import findings, write_findings
from tests.tools.budget.summary import Summary
from tests.tools.measure.made_up_products import texts, write

PROJECT = Path(__file__).resolve().parents[3]
SLICE, LOOP = 10_000, 500  # texts of a slice; how many of them the loop takes


def path(file: Path, tokenizer: Any) -> None:
    """All that the command does but its start."""
    report = Summary(limit=179, train_limit=182)

    def batches() -> Iterator[list[dict[str, Any]]]:
        for counted in count_rows(read_rows(DataSet(str(file))), tokenizer, 182):
            report.add(counted)
            yield findings(counted, 179)

    write_findings(file.with_suffix(".out.jsonl"), batches())
    assert report.histogram.total() == SLICE


def bare(rows: list[str], tokenizer: Any) -> None:
    """The tokenizer alone, in the same batches: one call for all would only take longer."""
    for start in range(0, len(rows), BATCH):
        tokenizer.encode_batch_fast(rows[start : start + BATCH], add_special_tokens=False)


def loop(rows: list[str], auto: Any) -> None:
    """As people write it."""
    for text in rows:
        auto.encode(text)


def clock(step: Callable[..., None], *arguments: Any) -> tuple[float, float]:
    """Seconds that a step takes, and CPU seconds of all its threads."""
    started, worked = time.perf_counter(), time.process_time()
    step(*arguments)
    return time.perf_counter() - started, time.process_time() - worked


def slices(count: int, folder: Path, model: Path) -> None:
    """Print what a row takes in all three, and the medians of their ratios slice by slice."""
    from transformers import AutoTokenizer

    tokenizer = open_tokenizer(model)
    auto = AutoTokenizer.from_pretrained(str(model), trust_remote_code=False)
    taken: list[list[tuple[float, float]]] = []
    for number in range(count + 1):
        file = folder / f"{number}.jsonl"
        write(file, SLICE, seed=number)
        rows = [text for text, _ in texts(SLICE, seed=number)]
        steps: list[Any] = [(path, file, tokenizer, SLICE), (bare, rows, tokenizer, SLICE)]
        steps.append((loop, rows[:LOOP], auto, LOOP))
        clocks = [(clock(step, source, tool), n) for step, source, tool, n in steps]
        taken.append([(wall / n, cpu / n) for (wall, cpu), n in clocks])
    show(taken[1:])  # the first warms up


def show(taken: list[list[tuple[float, float]]]) -> None:
    """Medians over the slices of seconds and CPU seconds a row: budget, bare, loop."""
    for name, column in zip(("budget", "bare", "loop"), zip(*taken, strict=True), strict=True):
        wall, cpu = (median(it) for it in zip(*column, strict=True))
        print(f"{name}: {1 / wall:,.0f} rows/s, {cpu * 1e6:.0f} us CPU a row")
    for kind, name in enumerate(("speed", "CPU time")):
        pairs = [(a[kind] / b[kind], a[kind] / c[kind]) for a, b, c in taken]
        beside = [median(it) ** (-1 if kind == 0 else 1) for it in zip(*pairs, strict=True)]
        print(f"{name}: budget / bare {beside[0]:.2f}, budget / loop {beside[1]:.2f}", flush=True)


def command(rows: int, folder: Path) -> None:
    """Print what the whole command takes for that many rows."""
    file = folder / "all.jsonl"
    write(file, rows)
    arguments = ["tests.tools.budget", str(file), "--out", str(folder / "out.parquet")]
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
    sys.exit(exit_status(main))

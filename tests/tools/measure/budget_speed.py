"""How fast the token budget is beside the bare tokenizer.

Slices of drawn texts in turns, so that all see the same machine: the budget's way (read the file,
count, summarize, write), `encode_batch_fast` alone on the same texts in memory, and the loop over
`AutoTokenizer.encode` on some of them. Then the whole command, in a process of its own, on few and
on many rows: seconds, CPU seconds, peak memory.
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
from tests.harness.files import PROJECT
from tests.harness.prices.dataset import DataSet, read_rows
from tests.harness.prices.products import TEXT_LIMIT, TRAINING_LIMIT
from tests.harness.sources.bundle import bundle
from tests.tools.budget.count import BATCH, count_rows, open_tokenizer
from tests.tools.budget.output import findings, write_findings
from tests.tools.budget.summary import Summary
from tests.tools.measure.drawn_texts import training_texts
from tests.tools.rows import write_lines

SLICE, LOOP = 10_000, 500  # texts of a slice; how many of them the loop takes


def _write_texts(path: Path, count: int, seed: int = 1) -> None:
    write_lines(
        path, ({"text": text, "price": price} for text, price in training_texts(count, seed))
    )


def _budget(file: Path, tokenizer: Any) -> None:
    """All that the command does but its start."""
    summary = Summary(TEXT_LIMIT, TRAINING_LIMIT)

    def batches() -> Iterator[list[dict[str, Any]]]:
        for counted in count_rows(read_rows(DataSet(str(file))), tokenizer, TRAINING_LIMIT):
            summary.add(counted)
            yield findings(counted, TEXT_LIMIT)

    write_findings(file.with_suffix(".out.jsonl"), batches())
    assert summary.histogram.total() == SLICE


def _bare(texts: list[str], tokenizer: Any) -> None:
    """The tokenizer alone, in the same batches: one call for all would only take longer."""
    for start in range(0, len(texts), BATCH):
        tokenizer.encode_batch_fast(texts[start : start + BATCH], add_special_tokens=False)


def _clock(count: int, step: Callable[..., object], *arguments: Any) -> tuple[float, float]:
    """Seconds of a step by row, and CPU seconds of all its threads by row."""
    started, worked = time.perf_counter(), time.process_time()
    step(*arguments)
    return (time.perf_counter() - started) / count, (time.process_time() - worked) / count


def _measure_slices(count: int, folder: Path, model: Path) -> None:
    """Print what a row takes in all three, and the medians of their ratios slice by slice."""
    from transformers import AutoTokenizer

    tokenizer = open_tokenizer(model)
    auto = AutoTokenizer.from_pretrained(str(model), trust_remote_code=False)
    slices: list[list[tuple[float, float]]] = []  # seconds and CPU seconds a row, by way
    for number in range(count + 1):
        file = folder / f"{number}.jsonl"
        _write_texts(file, SLICE, seed=number)
        texts = [text for text, _ in training_texts(SLICE, seed=number)]
        budget = _clock(SLICE, _budget, file, tokenizer)
        bare = _clock(SLICE, _bare, texts, tokenizer)
        slices.append([budget, bare, _clock(LOOP, list, map(auto.encode, texts[:LOOP]))])
    slices.pop(0)  # it warms up
    for name, column in zip(("budget", "bare", "loop"), zip(*slices, strict=True), strict=True):
        wall, cpu = (median(values) for values in zip(*column, strict=True))
        print(f"{name}: {1 / wall:,.0f} rows/s, {cpu * 1e6:.0f} us CPU a row")
    for way, name in enumerate(("bare", "loop"), 1):
        speed = median(row[way][0] / row[0][0] for row in slices)
        cpu = median(row[0][1] / row[way][1] for row in slices)
        print(f"budget / {name}: speed {speed:.2f}, CPU time {cpu:.2f}", flush=True)


def _measure_command(rows: int, folder: Path) -> None:
    """Print what the whole command takes for that many rows."""
    file = folder / "all.jsonl"
    _write_texts(file, rows)
    arguments = ["tests.tools.budget", str(file), "--out", str(folder / "out.parquet")]
    started = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", *arguments], cwd=PROJECT)
    _, status, used = os.wait4(process.pid, 0)
    seconds, cpu = time.perf_counter() - started, used.ru_utime + used.ru_stime
    assert os.waitstatus_to_exitcode(status) in (0, 1)
    print(f"{rows:,} rows: {seconds:.1f} s, {cpu:.1f} s CPU, peak {used.ru_maxrss / 1024:.0f} MiB")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.tools.measure.budget_speed", description=__doc__
    )
    parser.add_argument("--slices", type=int, default=10, help="(default: 10)")
    parser.add_argument("--rows", type=int, nargs="*", default=[50_000, 400_000])
    options = parser.parse_args()
    os.environ["TOKENIZERS_PARALLELISM"] = "true"
    model = bundle([registry()["llama3_1"]], print)["llama3_1"]
    with TemporaryDirectory() as name:
        _measure_slices(options.slices, Path(name), model)
        for rows in options.rows:
            _measure_command(rows, Path(name))


if __name__ == "__main__":
    sys.exit(exit_status(main))

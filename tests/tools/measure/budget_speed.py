"""How fast the token budget is beside the bare tokenizer.

Slices of drawn texts in turns, so that both see the same machine: the budget's way (read the file,
count, summarize, write) and `encode_batch_fast` alone on the same texts in memory. Then the whole
command, in a process of its own, on few and on many rows: seconds, CPU seconds, peak memory.
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

SLICE = 10_000  # texts


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


def _seconds(step: Callable[..., None], *arguments: Any) -> float:
    started = time.perf_counter()
    step(*arguments)
    return time.perf_counter() - started


def _measure_slices(count: int, folder: Path, model: Path) -> None:
    """Print the median rates of both, and the median of their ratios slice by slice."""
    tokenizer = open_tokenizer(model)
    pairs = []
    for number in range(count + 1):
        file = folder / f"{number}.jsonl"
        _write_texts(file, SLICE, seed=number)
        texts = [text for text, _ in training_texts(SLICE, seed=number)]
        pairs.append((_seconds(_budget, file, tokenizer), _seconds(_bare, texts, tokenizer)))
    pairs.pop(0)  # it warms up
    budget, bare = (SLICE / median(column) for column in zip(*pairs, strict=True))
    print(f"budget: {budget:,.0f} rows/s; encode_batch_fast alone: {bare:,.0f} rows/s")
    print(f"ratio: {median(alone / whole for whole, alone in pairs):.2f}", flush=True)


def _measure_command(rows: int, folder: Path) -> None:
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

"""The options of `python -m tests.tools.sweep`."""

import argparse
from pathlib import Path
from typing import get_args

from tests.harness.data.registry import Device, registry
from tests.harness.memory.footprint import LOADS
from tests.harness.model.generation import NEW_TOKENS
from tests.harness.prices.dataset import add_options
from tests.harness.sources.folders import SOURCES

LIMIT = 179  # tokens of a text in the task's data set, special tokens not counted
WINDOW = 8192  # rows


def positive(text: str) -> int:
    """A whole number from 1 on."""
    number = int(text)
    if number < 1:
        raise ValueError
    return number


def parser(description: str) -> argparse.ArgumentParser:
    """All options, in groups; every default is said."""
    made = argparse.ArgumentParser(
        prog="python -m tests.tools.sweep",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_options(made)
    add_model_options(made.add_argument_group("the model"))
    add_run_options(made.add_argument_group("the run"))
    add_result_options(made.add_argument_group("the results"))
    return made


def add_model_options(group: argparse._ArgumentGroup) -> None:
    """Which model is asked, and how it is loaded."""
    add, keys = group.add_argument, list(registry())
    add("--model", default="llama3_1", choices=keys, help="(default: llama3_1)")
    add("--load", default="nf4", choices=LOADS, help="(default: nf4)")
    add("--device", choices=get_args(Device), help="(default: cuda if there is one)")
    weights = "auto, hub, dummy, or a checkpoint folder (default: auto)"
    add("--weights", default="auto", metavar="WHAT", help=weights)
    add("--source", default="bundle", choices=SOURCES, help="of tokenizer files (default: bundle)")
    add("--model-dir", metavar="DIR", help="tokenizer files from this folder (default: none)")


def add_run_options(group: argparse._ArgumentGroup) -> None:
    """How the model is asked."""
    add = group.add_argument
    methods = "score reads one token, generate several (default: score where a price is one token)"
    add("--method", choices=("score", "generate"), help=methods)
    new = f"tokens to generate (default: {NEW_TOKENS})"
    add("--new-tokens", type=positive, default=NEW_TOKENS, metavar="N", help=new)
    limit = f"a text of more tokens, BOS not counted, is a bad row (default: {LIMIT})"
    add("--limit", type=positive, default=LIMIT, metavar="N", help=limit)
    tokens = "tokens of a batch, pads included (default: what fits into memory)"
    add("--batch-tokens", type=positive, metavar="N", help=tokens)
    window = f"rows that are sorted by length together (default: {WINDOW})"
    add("--window", type=positive, default=WINDOW, metavar="N", help=window)
    add(
        "--compile",
        action="store_true",
        help="compile the layers: slow to start, then faster (default: off)",
    )


def add_result_options(group: argparse._ArgumentGroup) -> None:
    """What is kept and said."""
    add = group.add_argument
    add("--out", required=True, type=Path, metavar="FOLDER", help="where results are kept")
    every = "answers are written at least every S seconds (default: 20)"
    add("--keep-every", type=float, default=20.0, metavar="S", help=every)
    add("--format", default="jsonl", choices=("jsonl", "parquet"), help="(default: jsonl)")
    add("--picture", default="svg", choices=("svg", "png", "none"), help="(default: svg)")
    check = "ask N rows again, one by one, and compare (default: none)"
    add("--check", type=positive, default=0, metavar="N", help=check)
    add("--quiet", action="store_true", help="no progress bar (default: off)")

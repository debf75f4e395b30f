"""Do the texts of a price data set keep the token budget? `python -m tests.tools.budget DATA`.

Counts each text as it is in the data set, without BOS and EOS, by the model's own
`tokenizer.json`; names the rows that take more than --limit tokens, what training on --train-limit
tokens (BOS and EOS included) would cut off them (EOS, the price, every label of the answer), and
those that cannot be counted.
Exit status: 0 if there is none of these, 1 if there is, 2 if nothing could be done.
"""

import argparse
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tqdm import tqdm

from tests.harness.console import exit_status, redact_streams, say
from tests.harness.data.registry import registry
from tests.harness.errors import DataError
from tests.harness.prices.dataset import add_options, data_of, read_rows, rows_in
from tests.harness.prices.products import TEXT_LIMIT, TRAINING_LIMIT
from tests.harness.sources.folders import Sources, parse_directories, prepare

from .count import count_rows, open_tokenizer
from .output import Finding, findings, write_findings
from .summary import Summary


def _parse_options(arguments: list[str] | None) -> argparse.Namespace:
    about, _, epilog = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        prog="python -m tests.tools.budget", description=about, epilog=epilog
    )
    add_options(parser)
    option, keys = parser.add_argument, ", ".join(registry())
    model = f"one of {keys} (default: llama3_1)"
    option("--model", choices=registry(), default="llama3_1", metavar="KEY", help=model)
    folder = "this folder's tokenizer.json (default: the bundle's)"
    option("--model-dir", metavar="DIR", help=folder)
    limit: dict[str, Any] = {"type": _token_count, "metavar": "N"}
    option("--limit", **limit, default=TEXT_LIMIT, help="tokens of a text (default: %(default)s)")
    training = "with BOS and EOS (default: %(default)s)"
    option("--train-limit", **limit, default=TRAINING_LIMIT, help=training)
    option("--out", type=Path, help="all rows named, as .jsonl or .parquet (default: none)")
    return parser.parse_args(arguments)


def _token_count(word: str) -> int:
    if not (word.isascii() and word.isdigit() and 1 < int(word) < 2**31):
        raise argparse.ArgumentTypeError(f"{word!r}: give a whole number from 2 on")
    return int(word)


def _count(options: argparse.Namespace) -> Summary:
    """Count the data set; AssetError or DataError in one line if it cannot be done."""
    data = data_of(options)
    total = rows_in(data)
    folders = [f"{options.model}={options.model_dir}"] if options.model_dir else []
    sources = Sources(directories=parse_directories(folders))
    folder = prepare([registry()[options.model]], sources, say)[options.model]
    tokenizer = open_tokenizer(folder)
    summary = Summary(options.limit, options.train_limit)
    if options.out and options.out.resolve() == Path(options.data).resolve():
        raise DataError(f"--out {options.out}: that is the data set itself; give another file")

    def batches() -> Iterator[list[Finding]]:
        with tqdm(total=total, unit="row") as bar:
            for counted in count_rows(read_rows(data), tokenizer, options.train_limit):
                summary.add(counted)
                yield findings(counted, options.limit)
                bar.update(len(counted.rows) + len(counted.bad))

    write_findings(options.out, batches())
    return summary


def main(arguments: list[str] | None = None) -> int:
    """Count and print the summary; 1 if a row is over a limit or bad."""
    options = _parse_options(arguments)
    summary = _count(options)
    print(f"{options.data}, {options.model}: {summary.text()}")
    return 0 if summary.fits else 1


if __name__ == "__main__":
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    # `datasets` would import torch, for 2 s and 190 MB, only to learn that no tensor is wanted.
    os.environ.setdefault("USE_TORCH", "0")
    redact_streams()
    sys.exit(exit_status(main))

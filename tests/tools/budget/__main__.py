"""Do the texts of a price data set keep the token budget? `python -m tests.tools.budget DATA`.

Counts each text as it stands in the data set, without BOS and EOS, by the model's own
`tokenizer.json`; names the rows that take more than --limit tokens, those whose price would be cut
off by training on --train-limit tokens (BOS and EOS included), and those that cannot be counted.
Exit status: 0 if there is none of these, 1 if there is, 2 if nothing could be done.
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path

from tqdm import tqdm

from tests.harness.assets import Sources, parse_directories, prepare
from tests.harness.cleaning import clean_streams
from tests.harness.errors import AssetError
from tests.harness.models import DataError, registry
from tests.harness.prices.dataset import add_options, data_of, read_rows, rows_in
from tests.harness.progress import say

from .count import count_rows, open_tokenizer
from .output import findings, findings_file
from .summary import Report


def parse_options(arguments: list[str] | None) -> argparse.Namespace:
    """The command line."""
    about, _, rest = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser("python -m tests.tools.budget", None, about, rest)
    add_options(parser)
    keys = ", ".join(registry())
    parser.add_argument(
        "--model",
        choices=registry(),
        default="llama3_1",
        metavar="KEY",
        help=f"one of {keys} (default: llama3_1)",
    )
    parser.add_argument(
        "--model-dir", metavar="DIR", help="this folder's tokenizer.json (default: the bundle's)"
    )
    parser.add_argument(
        "--limit", type=whole, metavar="N", default=179, help="tokens of a text (default: 179)"
    )
    parser.add_argument(
        "--train-limit",
        type=whole,
        metavar="N",
        default=182,
        help="with BOS and EOS (default: 182)",
    )
    parser.add_argument(
        "--out", type=Path, help="all rows named, as .jsonl or .parquet (default: none)"
    )
    parser.add_argument(
        "--json", action="store_true", help="print the summary as JSON (default: off)"
    )
    return parser.parse_args(arguments)


def whole(word: str) -> int:
    """A number of tokens; argparse names the option if this refuses it."""
    if not (word.isascii() and word.isdigit() and 1 < int(word) < 2**31):
        raise argparse.ArgumentTypeError(f"{word!r}: give a whole number from 2 on")
    return int(word)


def count(options: argparse.Namespace) -> Report:
    """Count the data set; AssetError or DataError in one line if it cannot be done."""
    data = data_of(options)
    total = rows_in(data)
    folders = [f"{options.model}={options.model_dir}"] if options.model_dir else []
    sources = Sources(directories=parse_directories(folders))
    folder = prepare([registry()[options.model]], sources, say)[options.model]
    tokenizer = open_tokenizer(folder)
    report = Report(options.limit, options.train_limit)
    if options.out and options.out.resolve() == Path(options.data).resolve():
        raise DataError(f"--out {options.out}: that is the data set itself; give another file")
    with findings_file(options.out) as write, tqdm(total=total, unit="row") as bar:
        for counted in count_rows(read_rows(data), tokenizer, options.train_limit):
            report.add(counted)
            write(findings(counted, options.limit))
            bar.update(len(counted.rows) + len(counted.bad))
    return report


def main(arguments: list[str] | None = None) -> int:
    """Count, print the report and say by the exit status whether all is well."""
    options = parse_options(arguments)
    started = time.monotonic()
    try:
        report = count(options)
    except (AssetError, DataError) as error:
        say(str(error))
        return 2
    except KeyboardInterrupt:
        say("interrupted: nothing is written; run it again")
        return 130
    seconds = round(time.monotonic() - started, 3)
    if options.json:
        head = {"data": options.data, "revision": options.revision, "model": options.model}
        print(json.dumps(head | report.summary() | {"seconds": seconds}))
    else:
        print(f"{options.data}, {options.model}: {report.text()}")
    return 0 if report.fits else 1


if __name__ == "__main__":
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    # `datasets` would import it, for 2 s and 190 MB, only to see that no tensor is asked for.
    os.environ.setdefault("USE_TORCH", "0")
    clean_streams()
    sys.exit(main())

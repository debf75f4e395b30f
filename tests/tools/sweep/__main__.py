"""Predict the prices of a data set: `python -m tests.tools.sweep DATA --out FOLDER`.

Run it again after an interruption, with the same options, and it goes on where it was. With
`torchrun --nproc-per-node N -m tests.tools.sweep ...` (or `accelerate launch`) each GPU has a
process. Exit codes: 0 all rows are there; 1 the check found a difference; 2 it could not run (the
last line says why); 130 interrupted.
"""

import argparse
import logging
import os
import sys
from pathlib import Path

from tests.harness.console import COULD_NOT_RUN, INTERRUPTED, redact_streams, say
from tests.harness.errors import AssetError, DataError, LoadError
from tests.harness.model import device as devices
from tests.harness.model.generation import NEW_TOKENS
from tests.harness.prices.dataset import add_options
from tests.harness.prices.products import TEXT_LIMIT
from tests.harness.text import first_line
from tests.tools.models import add_model_options

from .job import prepare_job
from .run import run


def _parse_options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.tools.sweep",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_options(parser)
    add_model_options(parser.add_argument_group("the model"))
    add = parser.add_argument_group("the run").add_argument
    methods = "score reads one token, generate several (default: score where a price is one token)"
    add("--method", choices=("score", "generate"), help=methods)
    new = "tokens to generate (default: %(default)s)"
    add("--new-tokens", type=_positive, default=NEW_TOKENS, metavar="N", help=new)
    limit = "a text of more tokens, BOS not counted, is a bad row (default: %(default)s)"
    add("--limit", type=_positive, default=TEXT_LIMIT, metavar="N", help=limit)
    tokens = "tokens of a batch, pads included (default: what fits into memory)"
    add("--batch-tokens", type=_positive, metavar="N", help=tokens)
    window = "rows that are sorted by length together (default: %(default)s)"
    add("--window", type=_positive, default=8192, metavar="N", help=window)
    slow = "compile the layers: slow to start, then faster (default: off)"
    add("--compile", action="store_true", help=slow)
    add = parser.add_argument_group("the results").add_argument
    add("--out", required=True, type=Path, metavar="FOLDER", help="where results are kept")
    every = "answers are written at least every S seconds (default: 20)"
    add("--keep-every", type=float, default=20.0, metavar="S", help=every)
    add("--format", default="jsonl", choices=("jsonl", "parquet"), help="(default: jsonl)")
    add("--picture", default="svg", choices=("svg", "png", "none"), help="(default: svg)")
    check = "answer N rows again, one by one, and compare (default: none)"
    add("--check", type=_positive, default=0, metavar="N", help=check)
    add("--quiet", action="store_true", help="no progress bar (default: off)")
    return parser.parse_args(arguments)


def _positive(text: str) -> int:
    if (number := int(text)) < 1:
        raise ValueError
    return number


def main(arguments: list[str] | None = None) -> int:
    """Run a sweep, or go on with one; the exit code."""
    options = _parse_options(arguments)
    try:
        return run(prepare_job(options))
    except (AssetError, DataError, LoadError) as error:
        say(str(error))
    except (OSError, MemoryError, RuntimeError) as error:
        if not isinstance(error, OSError) and not devices.is_fatal(error):
            raise
        say(f"{first_line(error)}: answers so far are kept; fix this, run the same command")
    except KeyboardInterrupt:
        say(f"interrupted: answers so far are in {options.out}; run the same command to go on")
        return INTERRUPTED
    return COULD_NOT_RUN


if __name__ == "__main__":
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # see conftest.py
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # it names kernels not installed
    redact_streams()
    sys.exit(main())

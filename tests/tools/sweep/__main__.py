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

from tests.harness import device as devices
from tests.harness.assets import Sources, parse_directories, prepare
from tests.harness.cleaning import clean_streams
from tests.harness.errors import AssetError
from tests.harness.live import LoadError, Slot, prepared_tokenizer
from tests.harness.models import DataError, Device, Model, registry
from tests.harness.price_rows import data_of
from tests.harness.progress import say
from tests.harness.weights import parse_weights, prepare_weights

from .job import Job
from .options import parser
from .place import place
from .scoring import SweepError
from .steps import execute


def job_of(options: argparse.Namespace) -> Job:
    """What is to be done, all of it checked and fetched; AssetError, DataError, SweepError."""
    rank, world = place()
    facts: Model = registry()[options.model]
    device: Device = options.device or ("cuda" if devices.has_cuda() else "cpu")
    if device == "cuda" and not devices.has_cuda():
        raise SweepError("--device cuda: torch sees no CUDA device: use --device cpu")
    if fault := devices.preflight(device):
        raise SweepError(fault)
    directories = [f"{facts.key}={options.model_dir}"] if options.model_dir else []
    sources = Sources(options.source, parse_directories(directories))
    weights_option = parse_weights([f"{facts.key}={options.weights}"])[facts.key]
    folder = prepare([facts], sources, say)[facts.key]
    return Job(
        data=data_of(options),
        out=options.out,
        facts=facts,
        load=options.load,
        device=device,
        weights=prepare_weights(facts, device, weights_option, folder, say),
        tokenizer=prepared_tokenizer(folder),
        method=options.method or ("score" if facts.can("single_token_prices") else "generate"),
        new_tokens=options.new_tokens,
        limit=options.limit,
        window=options.window,
        batch_tokens=options.batch_tokens,
        keep_every=options.keep_every,
        format=options.format,
        picture=options.picture,
        check=options.check,
        compile=options.compile,
        quiet=options.quiet or rank > 0,
        rank=rank,
        world=world,
    )


def main(arguments: list[str] | None = None) -> int:
    """Run a sweep, or go on with one; the exit code."""
    options = parser(__doc__ or "").parse_args(arguments)
    slot = Slot()
    try:
        return execute(job_of(options), slot, say)
    except (AssetError, DataError, LoadError, SweepError) as error:
        say(str(error))
        return 2
    except (OSError, RuntimeError) as error:
        if not isinstance(error, OSError) and not devices.is_fatal(error):
            raise
        say(f"{devices.first(error)}: what was answered is kept; mend this, run the same command")
        return 2
    except KeyboardInterrupt:
        say(f"interrupted: what was answered is in {options.out}; run the same command to go on")
        return 130


if __name__ == "__main__":
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # see conftest.py
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # it names kernels not installed
    clean_streams()
    sys.exit(main())

"""Predict the prices of a data set: `python -m tests.tools.sweep DATA --out FOLDER`.

Run it again after an interruption, with the same options, and it goes on where it was. With
`torchrun --nproc-per-node N -m tests.tools.sweep ...` (or `accelerate launch`) each GPU has a
process. Exit codes: 0 all rows are there; 1 the check found a difference; 2 it could not run (the
last line says why); 130 interrupted.
"""

import logging
import os
import sys

from tests.harness.console import redact_streams, say
from tests.harness.errors import AssetError, DataError, LoadError
from tests.harness.model import device as devices
from tests.harness.text import first_line

from .job import prepare_job
from .options import parser
from .run import run
from .store import SweepError


def main(arguments: list[str] | None = None) -> int:
    """Run a sweep, or go on with one; the exit code."""
    options = parser(__doc__ or "").parse_args(arguments)
    try:
        return run(prepare_job(options))
    except (AssetError, DataError, LoadError, SweepError) as error:
        say(str(error))
        return 2
    except (OSError, MemoryError, RuntimeError) as error:
        if not isinstance(error, OSError) and not devices.is_fatal(error):
            raise
        say(f"{first_line(error)}: answers so far are kept; fix this, run the same command")
        return 2
    except KeyboardInterrupt:
        say(f"interrupted: answers so far are in {options.out}; run the same command to go on")
        return 130


if __name__ == "__main__":
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # see conftest.py
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # it names kernels not installed
    redact_streams()
    sys.exit(main())

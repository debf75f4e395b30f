"""How commands print and end: progress without secrets, and exit codes."""

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TextIO

from .errors import AssetError, DataError, LoadError
from .redaction import redact

Progress = Callable[[str], None]
COULD_NOT_RUN = 2
INTERRUPTED, READER_GONE = 130, 141  # as shells have it


def say(message: str) -> None:
    """Print a line on stderr; stdout is for results."""
    print(redact(message), file=sys.stderr, flush=True)


def exit_status(run: Callable[[], int | None]) -> int:
    """Exit code of a command: 0 no findings, 1 findings, 2 wrong use or it could not run.

    Errors of data, files and loading are printed as one line on stderr.
    """
    try:
        status = run() or 0
        sys.stdout.flush()  # here, where it can be told that nobody reads
        return status
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # Python flushes it once more at the end
        return READER_GONE
    except (AssetError, DataError, LoadError) as error:
        say(str(error))
        return COULD_NOT_RUN
    except KeyboardInterrupt:
        say("interrupted: run it again")
        return INTERRUPTED


@dataclass(eq=False)
class FilteredStream:
    """A text stream that filters what is written to it; otherwise the stream behind it."""

    stream: TextIO
    filter_text: Callable[[str], str]

    def write(self, text: str) -> int:
        """Write the filtered text and return how many characters it has."""
        return self.stream.write(self.filter_text(text))

    def __getattr__(self, name: str) -> Any:
        """Any other attribute is the stream's."""
        return getattr(self.stream, name)


def redact_streams() -> None:
    """Redact all that this process prints from now on, tracebacks included."""
    out: Any = FilteredStream(sys.stdout, redact)
    error: Any = FilteredStream(sys.stderr, redact)
    sys.stdout, sys.stderr = out, error

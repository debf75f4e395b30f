"""What our commands print, and how they end.

0 all is well, 1 something was found, 2 wrong use or it could not run.
"""

import sys
from collections.abc import Callable
from typing import Any, TextIO

from tests.harness.errors import AssetError
from tests.harness.models import DataError
from tests.harness.redaction import redact

Progress = Callable[[str], None]
COULD_NOT_RUN = 2
INTERRUPTED = 130  # as shells have it


def say(message: str) -> None:
    """A line to the user; it goes to stderr, for stdout is for results."""
    print(redact(message), file=sys.stderr, flush=True)


def exit_status(run: Callable[[], int | None]) -> int:
    """Run a command; what stops it is one line on stderr, and its status says so."""
    try:
        return run() or 0
    except (AssetError, DataError) as error:
        say(str(error))
        return COULD_NOT_RUN
    except KeyboardInterrupt:
        say("interrupted: run it again")
        return INTERRUPTED


def redact_streams() -> None:
    """Hide secrets in all that this process prints from now on, tracebacks included."""
    out: Any = RedactingStream(sys.stdout, redact)
    error: Any = RedactingStream(sys.stderr, redact)
    sys.stdout, sys.stderr = out, error


class RedactingStream:
    """A text stream that cleans what is written to it; in all else the stream it stands for."""

    def __init__(self, stream: TextIO, cleaner: Callable[[str], str]) -> None:
        """What `cleaner` makes of a text is written."""
        self.stream, self.cleaner = stream, cleaner

    def write(self, text: str) -> int:
        """Write the clean text; the number of its characters."""
        return self.stream.write(self.cleaner(text))

    def __getattr__(self, name: str) -> Any:
        """What else a stream can do."""
        return getattr(self.stream, name)

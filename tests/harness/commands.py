"""How our commands end: 0 all is well, 1 something was found, 2 wrong use or it could not run."""

from collections.abc import Callable

from .errors import AssetError
from .models import DataError
from .progress import say

COULD_NOT_RUN = 2
INTERRUPTED = 130  # as shells have it


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

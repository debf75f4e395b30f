"""Progress, as functions take it and as commands print it."""

import sys
from collections.abc import Callable

from .secrets import scrub

Progress = Callable[[str], None]


def say(message: str) -> None:
    """A line to the user; it goes to stderr, for stdout is for results."""
    print(scrub(message), file=sys.stderr, flush=True)

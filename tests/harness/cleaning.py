"""Texts, reports and streams without secrets, and with control characters made visible."""

import re
import sys
from collections.abc import Callable
from typing import Any, TextIO

from .secrets import scrub
from .visible import MISLEADING, escape_character, harmless, without_commands

# What pytest itself sends to a terminal: colours, its progress mark, the start of the line.
PYTESTS_OWN = re.compile(rf"(\x1b\[[\d;]*m|\x1b\]9;4;[\d;]*\x1b\\|\r)|{MISLEADING.pattern}")


def clean(text: str) -> str:
    """Text of a test, a model or a library as it may leave the run."""
    return harmless(scrub(text))


def clean_for_terminal(text: str) -> str:
    """The same for what pytest composed of clean texts: its colours stay."""
    text = PYTESTS_OWN.sub(lambda it: it[1] or escape_character(it[0]), scrub(text))
    return without_commands(text)


def cleaned(value: Any) -> Any:
    """Any plain data with clean texts; of pytest's representations, the same object."""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, dict):
        return {cleaned(name): cleaned(it) for name, it in value.items()}
    if type(value) in (list, tuple):
        return type(value)(map(cleaned, value))
    if type(value).__module__.startswith("_pytest.") and hasattr(value, "__dict__"):
        vars(value).update(cleaned(vars(value)))
    return value


def clean_streams() -> None:
    """Hide secrets in all that this process prints from now on, tracebacks included."""
    out: Any = Cleaning(sys.stdout, scrub)
    error: Any = Cleaning(sys.stderr, scrub)
    sys.stdout, sys.stderr = out, error


class Cleaning:
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

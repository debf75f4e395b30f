"""What a check found, and how it is shown."""

from __future__ import annotations  # an old Python must get as far as being told so

import textwrap
from dataclasses import dataclass

WIDTH = 100  # characters of a line
INDENT = " " * 22


@dataclass(frozen=True)
class Check:
    """One finding; `bad` is broken or missing, `warn` is what part of the suite does without."""

    name: str
    state: str  # ok, warn or bad
    found: str
    mend: str = ""  # what to type or do next


def lines(check: Check) -> list[str]:
    """The finding for the terminal; its mend is one line below, so that it can be copied."""
    head = readable(f"{check.state:<5} {check.name:<16}{check.found}")
    shown = textwrap.wrap(
        head, WIDTH, subsequent_indent=INDENT, break_long_words=False, break_on_hyphens=False
    )
    return shown + ([readable(f"{INDENT}-> {check.mend}")] if check.mend else [])


def readable(text: str) -> str:
    """The text on one line; names of files may hold anything."""
    return "".join(it if it.isprintable() else ascii(it)[1:-1] for it in text)


def gigabytes(size: float) -> str:
    """`16.1 GB`, or `31 MB` for what is small."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"

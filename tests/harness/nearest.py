"""What a mistyped name was meant to be."""

from collections.abc import Iterable
from difflib import get_close_matches


def allowed(name: str, names: Iterable[str]) -> str:
    """`did you mean llama3_1? allowed are ...`, without the question if nothing is near."""
    known = list(names)
    return f"{meant(name, known)}allowed are {', '.join(known)}"


def meant(name: str, names: Iterable[str]) -> str:
    """The question alone, with a space behind it; empty if nothing is near."""
    near = get_close_matches(name.lower(), list(names), n=1)
    return f"did you mean {near[0]}? " if near else ""

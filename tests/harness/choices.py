"""Names that users choose from: what is allowed, and what a mistyped one was meant to be."""

from collections.abc import Iterable
from difflib import get_close_matches

from .errors import AssetError
from .models import registry


def allowed(name: str, names: Iterable[str]) -> str:
    """`did you mean llama3_1? allowed are ...`, without the question if nothing is near."""
    known = list(names)
    return f"{meant(name, known)}allowed are {', '.join(known)}"


def meant(name: str, names: Iterable[str]) -> str:
    """The question alone, with a space behind it; empty if nothing is near."""
    near = get_close_matches(name.lower(), list(names), n=1)
    return f"did you mean {near[0]}? " if near else ""


def chosen_models(text: str | None, option: str = "--models") -> list[str]:
    """Model keys as `KEY,KEY` names them, each once; all of them if the option was not given.

    Raises AssetError for an unknown key, and where none is named: that would not be a choice.
    """
    if text is None:
        return list(registry())
    keys = list(dict.fromkeys(filter(None, map(str.strip, text.split(",")))))
    for key in keys or [""]:
        if key not in registry():
            shown = key or repr(text)
            raise AssetError(f"{option} {shown}: {allowed(key, registry())}")
    return keys

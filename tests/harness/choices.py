"""The models that a user chooses."""

from .errors import AssetError
from .models import registry
from .nearest import allowed


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

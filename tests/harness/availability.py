"""Which models a source has files of: some stand in a folder of the user's alone."""

from collections.abc import Collection

from .errors import AssetError
from .models import Model, registry
from .progress import say
from .recipes import read_recipe


def unavailable(model: Model, source: str) -> str:
    """Why a source has no files of the model, and what to do; empty if it has."""
    if read_recipe(model.key).vocabulary or (source == "hub" and model.revision):
        return ""
    mend = f"--model-dir {model.key}=DIR" + (" or --source hub" if model.revision else "")
    return f"{model.key}: no package holds its files; give {mend}"


def available(keys: Collection[str], source: str, given: Collection[str] = ()) -> list[Model]:
    """The models that are asked for; of all, those with a folder given or files in the source.

    Raises AssetError for a model asked for by name whose files it does not have; one that is left
    out is a line on stderr.
    """
    models = [registry()[key] for key in keys or registry()]
    faults = {model.key: unavailable(model, source) for model in models if model.key not in given}
    problems = [fault for fault in faults.values() if fault]
    if keys and problems:
        raise AssetError(problems[0])
    for problem in problems:
        say(f"left out: {problem}")
    return [model for model in models if not faults.get(model.key)]

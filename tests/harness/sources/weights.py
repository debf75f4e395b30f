"""A model's weights: from its package, the hub or a local folder, or random values."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..console import Progress
from ..data.registry import Model, PinnedFile, registry
from ..errors import AssetError
from ..examination.checkpoint import config_fault, model_fault
from ..text import did_you_mean, readable
from .checkpoints import DUMMY, dummy, from_package
from .fetch import WEIGHTS, fetch_apart
from .shards import digests, tensor_files, tensor_shapes

Kind = Literal["package", "hub", "directory", "dummy"]
_KEYWORDS = ("auto", "hub", "dummy")


@dataclass(frozen=True)
class Weights:
    """A checkpoint folder in safetensors; `trained` is False for random values."""

    kind: Kind
    folder: Path
    trained: bool
    note: str  # one clause for headers and failures: which weights these are


def parse_weights(options: list[str]) -> dict[str, str]:
    """`--weights` options by model key: auto, hub, dummy or a folder.

    `VALUE` alone is for the models of the hub, since the packages hold the others' weights;
    `KEY=VALUE` is for one model. AssetError for an unknown key or a missing folder.
    """
    chosen = dict.fromkeys(registry(), "auto")
    hub_models = [key for key, model in registry().items() if model.revision]
    for option in options:
        name, _, rest = option.partition("=")
        keys, value = ([name], rest) if name in registry() else (hub_models, option)
        if value not in _KEYWORDS and not (value and _is_folder(value)):
            near = did_you_mean(value.partition("=")[0], [*registry(), *_KEYWORDS])
            raise AssetError(
                readable(
                    f"--weights {option}: {near}write auto, hub, dummy, a folder, or KEY= and one "
                    "of these"
                )
            )
        chosen |= dict.fromkeys(keys, value if value in _KEYWORDS else str(Path(value).absolute()))
    return chosen


def _is_folder(path: str) -> bool:
    try:
        return Path(path).is_dir()
    except (OSError, ValueError):  # it may not be searched, or can be no path
        return False


def description(model: Model, option: str) -> str:
    """Which weights the option means, for the header; no shard is read for it."""
    if option == "auto" and model.revision:
        return "hub (cached)" if cached_on_hub(model) else "dummy (none cached)"
    return "package" if option in ("auto", "hub") and not model.revision else option


def prepare_weights(
    model: Model, device: str, option: str, tokenizer_folder: Path, progress: Progress
) -> Weights:
    """The model's checkpoint, fetched, built or checked if need be.

    `option` is auto, hub, dummy or a folder. `tokenizer_folder` gives the generation settings of
    checkpoints built here. Raises AssetError: no network, no space, a hash that differs, a
    folder without safetensors.
    """
    if option not in _KEYWORDS:
        weights = _from_directory(model, Path(option), progress)
    elif option == "dummy" or (option == "auto" and model.revision and not cached_on_hub(model)):
        folder = dummy(model, device, tokenizer_folder, progress)
        why = "as requested" if option == "dummy" else "no others are cached"
        weights = Weights("dummy", folder, False, f"dummy weights ({why})")
    elif model.revision:
        weights = from_hub(model, progress)
    else:
        folder = from_package(model, tokenizer_folder, progress)
        weights = Weights("package", folder, True, "weights of its package")
    tensor_files(weights.folder)
    return weights


def cached_on_hub(model: Model) -> Path | None:
    """The model's snapshot folder in the Hugging Face cache if all its weights are there."""
    from huggingface_hub import try_to_load_from_cache

    entries = [
        try_to_load_from_cache(model.hub_id, name, revision=model.revision)
        for name in model.checkpoint()
    ]
    paths = [Path(entry) for entry in entries if isinstance(entry, str)]
    return paths[0].parent if model.weights and len(paths) == len(entries) else None


def from_hub(model: Model, progress: Progress) -> Weights:
    """The published checkpoint, every file with its published hash."""
    if not model.weights:
        raise AssetError(f"{model.key}: the registry pins no weights, so none are fetched")
    folder = cached_on_hub(model)
    if folder is None:
        folder = fetch_apart([model], progress, WEIGHTS)[model.key]
    if changed := _changed_files(model.checkpoint(), folder, progress):
        raise AssetError(
            f"{model.key}: {changed[0]} in {folder} is not the published file: delete it, and "
            "run with --weights hub again"
        )
    return Weights("hub", folder, True, "published weights")


def _changed_files(pins: dict[str, PinnedFile], folder: Path, progress: Progress) -> list[str]:
    """Names of the pinned files that the folder lacks or holds with other bytes."""
    sizes = {name: pin.bytes for name, pin in pins.items()}
    held = [folder / name for name in sizes if (folder / name).is_file()]
    right_size = [path for path in held if path.stat().st_size == sizes[path.name]]
    if len(right_size) == len(sizes):
        progress(f"sha256 of {sum(sizes.values()) / 1e9:.1f} GB in {folder}, once")
    hashes = {path.name: digest for path, digest in digests(right_size).items()}
    return [name for name, pin in pins.items() if hashes.get(name) != pin.sha256]


def _from_directory(model: Model, folder: Path, progress: Progress) -> Weights:
    """A local checkpoint, and whether it is the published one; AssetError if it is unusable."""
    fix = f"repair the folder, or leave out --weights {model.key}"
    fault = config_fault(folder) or model_fault(model, folder, tensor_shapes(folder))
    if fault:
        raise AssetError(f"{model.key}: {fault}: {fix}")
    if (folder / DUMMY).is_file():
        return Weights("directory", folder, False, f"dummy weights of {folder}")
    changed = _changed_files(model.weights, folder, progress)
    kind = f"other weights ({changed[0]} differs)" if changed else "the pinned weights"
    return Weights("directory", folder, True, f"{kind} in {folder}")

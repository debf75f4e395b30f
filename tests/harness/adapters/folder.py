"""An adapter's folder: given by `--adapter`, or made for the run; examined before it is loaded."""

import json
import math
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..data.adapters import Adapters, Given, Made, adapters
from ..data.registry import Model, registry
from ..errors import AssetError
from ..examination.content import examine_json
from ..examination.entries import UnfitError, read_files
from ..examination.folder import refuse
from ..memory.architecture import layer_linears
from ..sources.shards import tensor_headers
from ..text import allowed_values, readable
from .settings import CONFIG, Settings, Target, read_settings

WEIGHTS = "adapter_model.safetensors"
PREFIX = "base_model.model."  # of peft's names, before that of the base's layer
_SEED = 42
_DTYPES = {"F32": "float32", "BF16": "bfloat16", "F16": "float16"}
_TOKENIZER = ("tokenizer", "special_tokens_map", "added_tokens", "chat_template")


@dataclass(frozen=True)
class Stored:
    """A tensor of the adapter's file, without its values."""

    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class Adapter:
    """An adapter's folder, read and not loaded."""

    base: Model
    folder: Path
    note: str  # which adapter this is, for failures
    facts: Given  # what it must be
    settings: Settings
    targets: dict[str, Target]  # the base's layers that its settings name
    tensors: dict[str, Stored]  # what its file holds

    @property
    def label(self) -> str:
        """How a failure's first line begins."""
        return f"{self.base.key}: {self.note}"

    @property
    def expected(self) -> dict[str, tuple[int, int]]:
        """Shapes by name of the tensors that its settings imply."""
        return {
            tensor_name(layer, part): shape
            for layer, target in self.targets.items()
            for part, shape in target.shapes.items()
        }

    @property
    def fits(self) -> bool:
        """Whether the file holds exactly these, so that it can be attached."""
        return {name: one.shape for name, one in self.tensors.items()} == self.expected

    def matrices(self, device: str) -> Iterator[tuple[str, Any, Any]]:
        """Layer, A and B of each target as the file holds them, in float32 on the device."""
        from safetensors import safe_open

        with safe_open(self.folder / WEIGHTS, framework="pt", device=device) as file:
            for layer in self.targets:
                a, b = (file.get_tensor(tensor_name(layer, part)) for part in ("lora_A", "lora_B"))
                yield layer, a.float(), b.float()


def tensor_name(layer: str, part: str) -> str:
    """The name in the file of a layer's `lora_A` or `lora_B`."""
    return f"{PREFIX}{layer}.{part}.weight"


def parse_adapters(options: list[str]) -> dict[str, Path]:
    """`KEY=DIR` options as folders by model key; AssetError for another key or a missing folder."""
    folders = {}
    known = [key for key, model in registry().items() if model.quantized_on]
    for option in options:
        key, _, folder = option.partition("=")
        if key not in known or not folder:
            what = f"--adapter {option}: write KEY=DIR; {allowed_values(key, known)}"
            raise AssetError(readable(what))
        try:
            os.lstat(Path(folder) / CONFIG)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            what = f"there is no {CONFIG} in {folder} ({reason}): give the folder that peft saved"
            raise AssetError(readable(f"--adapter {option}: {what}")) from None
        folders[key] = Path(folder).absolute()
    return folders


def given_adapter(base: Model, folder: Path) -> Adapter:
    """The adapter in a folder; AssetError names the file and key that cannot be loaded."""
    fix = f"repair the folder, or leave out --adapter {base.key}"
    try:
        names = {path.name for path in read_files(folder)}
        examine_json(folder, names)
        found = _read(base, folder, f"adapter {folder}", known_of(base).given)
    except UnfitError as unfit:
        raise AssetError(f"{base.key}: {unfit.line(folder)}: {fix}") from None
    if "tokenizer.json" in names:
        refuse(folder, None, base.key, fix)
    return found


def known_of(model: Model) -> Adapters:
    """What is known of a model's adapters; without a table, that one on its attention is made."""
    if found := adapters().get(model.key):
        return found
    names = [each.name for each in layer_linears(model.architecture) if "self_attn" in each.path]
    made = Made("Made for a model without a table.", 4, 8.0, tuple(names), dropout=0.1)
    return Adapters(model.key, () if model.hub_id else (model.key,), {"attention": made})


def _read(base: Model, folder: Path, note: str, facts: Given) -> Adapter:
    settings = read_settings(folder)
    if not (folder / WEIGHTS).is_file():
        pickle = (folder / "adapter_model.bin").is_file()
        why = ": adapter_model.bin is a pickle, which can run code" if pickle else ""
        raise UnfitError(WEIGHTS, f"is missing{why}")
    try:
        headers = tensor_headers(folder / WEIGHTS)
    except AssetError as error:
        raise UnfitError(WEIGHTS, str(error).partition(WEIGHTS)[2].strip(": ")) from None
    tensors = {
        name: Stored(tuple(one["shape"]), _DTYPES.get(one["dtype"], one["dtype"]))
        for name, one in headers.items()
    }
    targets = settings.on(base.architecture)
    return Adapter(base, folder, note, facts, settings, targets, tensors)


def _make(base: Model, name: str, made: Made, tokenizer: Path, folder: Path) -> Adapter:
    """An adapter of seeded random values, with the base's tokenizer beside it.

    Written without peft: settings by the names that its files have, A with a deviation of
    1 / sqrt(columns), and B of 0.02, so that it moves every layer's output by a few percent.
    """
    import torch
    from safetensors.torch import save_file

    folder.mkdir(parents=True)
    settings = {
        "base_model_name_or_path": base.hub_id or known_of(base).base_names[0],
        "bias": "none",
        "inference_mode": True,
        "lora_alpha": made.alpha,
        "lora_dropout": made.dropout,
        "peft_type": "LORA",
        "r": made.rank,
        "revision": base.revision,
        "target_modules": list(made.targets),
        "task_type": "CAUSAL_LM",
        "use_rslora": made.rslora,
    }
    (folder / CONFIG).write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
    generator, tensors = torch.Generator().manual_seed(_SEED), {}
    for layer, target in read_settings(folder).on(base.architecture).items():
        for part, shape in target.shapes.items():
            size = 1 / math.sqrt(target.columns) if part == "lora_A" else 0.02
            values = torch.randn(shape, generator=generator) * size
            tensors[tensor_name(layer, part)] = values.to(getattr(torch, made.dtype))
    save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})
    for path in tokenizer.iterdir():
        if path.name.startswith(_TOKENIZER) and path.is_file():
            shutil.copy(path, folder)
    facts = Given(None, made.rank, made.alpha, made.rslora, made.targets, made.dtype)
    return _read(base, folder, f"adapter made as fixtures/adapters.toml has it ({name})", facts)


def made_adapters(base: Model, tokenizer: Path, folder: Path) -> list[Adapter]:
    """The adapters that a run makes for a model, in folders below `folder`."""
    made = known_of(base).made
    return [_make(base, name, made[name], tokenizer, folder / name) for name in made]

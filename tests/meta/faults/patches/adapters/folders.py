"""Faults in an adapter's folder, done to those that a run makes before they are read."""

import json
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from ..places import Function
from ..places import replace as replace_place


def before_reading(harm: Callable[[Path], None]) -> None:
    """Do harm to every adapter's folder."""
    folder_module: Any = import_module("tests.harness.adapters.folder")

    def make(right: Function) -> Function:
        def faulty(base: Any, folder: Path, *rest: Any) -> Any:
            harm(folder)
            return right(base, folder, *rest)

        return faulty

    replace_place(folder_module, "_read", make)


def settings_changed(**changes: Any) -> None:
    """`adapter_config.json` says something else."""
    json_changed("adapter_config.json", **changes)


def json_changed(file: str, **changes: Any) -> None:
    """A file of settings says something else."""

    def harm(folder: Path) -> None:
        content = json.loads((folder / file).read_bytes())
        (folder / file).write_text(json.dumps(content | changes), encoding="utf-8")

    before_reading(harm)


def tensors_changed(change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """The file holds other tensors."""

    def harm(folder: Path) -> None:
        from safetensors.torch import load_file, save_file

        path = folder / "adapter_model.safetensors"
        save_file(change(load_file(path)), path, metadata={"format": "pt"})

    before_reading(harm)


def matrices_zero(part: str) -> None:
    """A matrix of each layer is as it was before training."""
    tensors_changed(lambda held: {n: t * 0 if part in n else t for n, t in held.items()})


def matrix_is_no_number(layer: str) -> None:
    """A value of one layer is NaN."""

    def change(held: dict[str, Any]) -> dict[str, Any]:
        for name, tensor in held.items():
            if layer in name:
                tensor.view(-1)[3] = float("nan")
        return held

    tensors_changed(change)


def saved_in_bf16() -> None:
    """The file is in another dtype."""
    tensors_changed(lambda held: {name: tensor.bfloat16() for name, tensor in held.items()})


def layer_missing(layer: str) -> None:
    """A target's matrices were not saved."""
    tensors_changed(lambda held: {n: tensor for n, tensor in held.items() if layer not in n})


def layer_added(like: str, name: str) -> None:
    """Matrices of a layer that the settings do not name."""
    tensors_changed(
        lambda held: (
            held
            | {n.replace(like, name): tensor.clone() for n, tensor in held.items() if like in n}
        )
    )


def columns_lost() -> None:
    """Matrices of a narrower base."""
    tensors_changed(
        lambda held: {n: t[:, :-8].clone() if "lora_A" in n else t for n, t in held.items()}
    )


def tokenizer_with_pad() -> None:
    """A tokenizer that was given a pad token of its own before training."""

    def harm(folder: Path) -> None:
        path = folder / "tokenizer.json"
        content = json.loads(path.read_bytes())
        flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
        last = max(content["model"]["vocab"].values())
        entry = {"id": last + 1, "content": "<pad>", **flags, "special": True}
        content["added_tokens"].append(entry)
        path.write_text(json.dumps(content), encoding="utf-8")

    before_reading(harm)


def tokenizer_splits_otherwise() -> None:
    """A tokenizer that was saved by a class with another pre-tokenizer."""

    def harm(folder: Path) -> None:
        path = folder / "tokenizer.json"
        content = json.loads(path.read_bytes())
        whole = {"add_prefix_space": False, "trim_offsets": True, "use_regex": False}
        content["pre_tokenizer"] = {"type": "ByteLevel", **whole}
        path.write_text(json.dumps(content), encoding="utf-8")

    before_reading(harm)

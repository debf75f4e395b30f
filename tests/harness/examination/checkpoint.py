"""A checkpoint's folder, before a model is made of it: its files, its config.json, its shapes."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..data.registry import Model
from ..memory.architecture import Config, layer_linears
from ..text import error_line
from ..versions import versions
from .content import examine_content, read
from .entries import UnfitError, read_files
from .limits import Limits, Report, in_child

Shape = tuple[int, ...]
INDEX = "model.safetensors.index.json"
_LONGEST_INDEX = 25_000_000  # bytes
_SETTINGS = ("config.json", "generation_config.json")
_LAYER = re.compile(r"model\.layers\.(\d+)\.")
_LIMITS = Limits(memory=2 << 30, cpu=8, wall=32.0)


def config_fault(folder: Path) -> str:
    """What is wrong with a checkpoint's small files, in one line; empty if nothing is.

    AssetError if the folder cannot be read.
    """
    try:
        names = {path.name for path in read_files(folder)}
        if "adapter_config.json" in names:
            raise UnfitError("adapter_config.json", "is of an adapter: give it by --adapter")
        if "config.json" not in names:
            raise UnfitError("config.json", "is missing, so it cannot be read")
        for name in _SETTINGS:
            if name in names:
                examine_content(folder / name)
        if "quantization_config" in read(folder / "config.json"):
            raise UnfitError("config.json", "is quantized already: give one in bf16")
        if (folder / INDEX).is_file():
            if (size := (folder / INDEX).stat().st_size) > _LONGEST_INDEX:
                what = f"has {size:,} bytes, and at most {_LONGEST_INDEX:,} are allowed"
                raise UnfitError(INDEX, what)
            read(folder / INDEX)
    except UnfitError as unfit:
        return unfit.line(folder)
    return ""


def model_fault(model: Model, folder: Path, shapes: Mapping[str, Shape]) -> str:
    """Why no model can be made of the folder, in one line; `shapes` are those of its tensors."""
    try:
        _check_shapes(model, read(folder / "config.json"), shapes)
    except UnfitError as unfit:
        return unfit.line(folder)
    # Here, where it is needed anyway: the child then has no seconds of importing to do.
    from transformers import AutoModelForCausalLM, LlamaForCausalLM  # noqa: F401

    ending = in_child(lambda report: _make_without_values(folder, report), _LIMITS)
    found = (ending.death and f"{ending.death} {ending.step}") or ending.result
    return UnfitError("config.json", found).line(folder) if found else ""


def _check_shapes(model: Model, config: dict[str, Any], shapes: Mapping[str, Shape]) -> None:
    """UnfitError for the first tensor whose shape is not that of config.json."""
    try:
        expected = dict(_expected(model.architecture | config))
    except (KeyError, TypeError, ValueError, ZeroDivisionError) as error:
        what = f"describes no architecture that is known ({error_line(error)})"
        raise UnfitError("config.json", what) from None
    held = {int(found[1]) for name in shapes if (found := _LAYER.match(name))}
    layers = (model.architecture | config)["num_hidden_layers"]
    if held and layers > len(held):
        what = f"is {layers:,}, and the files hold {len(held)} layers"
        raise UnfitError("config.json", what, "num_hidden_layers")
    other = [
        (name, shape)
        for name, shape in shapes.items()
        if (right := expected.get(_LAYER.sub("model.layers.0.", name))) and right != shape
    ]
    if other:
        name, shape = other[0]
        right = expected[_LAYER.sub("model.layers.0.", name)]
        what = f"says {_by(right)} for {name}, which is {_by(shape)}"
        more = f" ({len(other)} such tensors)" if len(other) > 1 else ""
        raise UnfitError("config.json", what + more)


def _expected(config: Config) -> Iterator[tuple[str, Shape]]:
    """Name and shape of the tensors of a model: of its layers those of the first."""
    hidden, rows = config["hidden_size"], config["vocab_size"]
    yield "model.embed_tokens.weight", (rows, hidden)
    yield "lm_head.weight", (rows, hidden)
    yield "model.norm.weight", (hidden,)
    for norm in ("input_layernorm", "post_attention_layernorm"):
        yield f"model.layers.0.{norm}.weight", (hidden,)
    for linear in layer_linears(config):
        yield f"model.layers.0.{linear.path}.weight", (linear.rows, linear.columns)
        yield f"model.layers.0.{linear.path}.bias", (linear.rows,)


def _by(shape: Shape) -> str:
    return " x ".join(f"{size:,}" for size in shape) or "one number"


def _make_without_values(folder: Path, report: Report) -> str:
    """Make the model that config.json describes on the device that holds no values."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    report("in the beginning")
    try:
        config = AutoConfig.from_pretrained(str(folder), trust_remote_code=False)
        report("while a model is made of it")
        if not torch.cuda.is_initialized():  # of which a fork must not make use
            with torch.device("meta"):
                AutoModelForCausalLM.from_config(config, trust_remote_code=False)
    except MemoryError:
        raise
    except Exception as error:
        return f"makes no model by transformers {versions()['transformers']} ({error_line(error)})"
    return ""

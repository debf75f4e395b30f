"""The weights a model computes with, as float32, by their names in the checkpoint."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..model.error_bounds import quantized_layers
from ..sources.shards import stored_tensor, tensor_files

_OUTLIER = 6.0  # LLM.int8() multiplies columns with such an activation unquantized


@dataclass(frozen=True)
class Weights:
    """A model's weights, and whether its linear layers also round what they are given."""

    tensor: Callable[[str], Any]  # float32 by name; KeyError if there is none
    int8: frozenset[str] = frozenset()  # names of the weights that are multiplied as int8

    def product(self, name: str, hidden: Any) -> Any:
        """Hidden states (tokens, in) times the transposed weight of this name (out, in)."""
        given = rounded_to_int8(hidden) if name in self.int8 else hidden
        return given @ self.tensor(name).T


def rounded_to_int8(hidden: Any) -> Any:
    """Activations as LLM.int8() multiplies them (arXiv 2208.07339), dequantized.

    Each token is rounded to 127ths of its largest value below the threshold, but for the columns
    in which any token reaches it: these stay as they are.
    """
    outliers = hidden.abs() >= _OUTLIER
    step = hidden.masked_fill(outliers, 0).abs().amax(-1, keepdim=True).clamp(min=1e-30) / 127
    return hidden.where(outliers.any(0), (hidden / step).round() * step)


def dequantized(module: Any) -> Any:
    """A quantized layer's weight as the layer was loaded, by bitsandbytes' own function.

    On CPUs with AVX512-BF16 a 4-bit layer repacks itself at its first use: read it before.
    """
    from bitsandbytes.functional import dequantize_4bit

    weight = module.weight
    if (state := getattr(weight, "quant_state", None)) is not None:
        return dequantize_4bit(weight.data, state)
    # The first use moves an int8 layer's row scales from its weight to its state.
    scales = weight.SCB if getattr(weight, "SCB", None) is not None else module.state.SCB
    return weight.data.float() * (scales.float() / 127)[:, None]


def read_weights(model: Any, folder: Path, device: str) -> Weights:
    """The weights of a loaded model, which may be a weak proxy, on its device.

    Quantized layers give what they hold, all else comes from the checkpoint, so that a weight
    lost, tied or cast on its way into the model is seen. On the CPU quantized weights are read
    now, since using them changes them; on CUDA, where they do not fit twice, when asked for.
    There the linear layers of an unquantized model are the model's own as well.
    """
    files = tensor_files(folder)
    layers = {f"{name}.weight": module for name, module in quantized_layers(model)}
    int8 = frozenset(n for n, module in layers.items() if not hasattr(module.weight, "quant_state"))
    if device == "cpu":
        kept = {name: dequantized(module) for name, module in layers.items()}
        cache: dict[str, Any] = {}

        def on_cpu(name: str) -> Any:
            if name not in cache:
                cache[name] = (
                    kept.pop(name) if name in kept else stored_tensor(files, name)
                ).float()
            return cache[name]

        return Weights(on_cpu, int8)
    return Weights(_on_cuda(model, files, frozenset(layers)), int8)


def _on_cuda(model: Any, files: dict[str, Path], quantized: frozenset[str]) -> Callable[[str], Any]:
    """Reads when asked; of the checkpoint each tensor once, if the model holds the same bits."""
    import torch

    own: set[str] = set()  # what the model itself may give

    def read(name: str) -> Any:
        if name in quantized:
            return dequantized(model.get_submodule(name.removesuffix(".weight"))).float()
        held = dict(model.named_parameters(remove_duplicate=False)).get(name)
        if held is not None and (name in own or (".layers." in name and held.dim() == 2)):
            return held.detach().float()
        stored = stored_tensor(files, name).to(model.device)
        if held is not None and torch.equal(held, stored):
            own.add(name)
        return stored.float()

    return read

"""The model that a command loads: its options, its files and weights, and the GPU it may see."""

import argparse
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from tests.harness.console import say
from tests.harness.data.registry import Device, Model, registry
from tests.harness.errors import LoadError
from tests.harness.latency.machine import identity
from tests.harness.memory.footprint import LOADS, Load
from tests.harness.model import device as devices
from tests.harness.model.loading import ModelSlot, prepared_tokenizer
from tests.harness.sources.folders import SOURCES, Sources, parse_directories, prepare
from tests.harness.sources.weights import Weights, parse_weights, prepare_weights


@dataclass(frozen=True)
class ModelChoice:
    """The model that answers, its files fetched and checked."""

    spec: Model
    device: Device
    load: Load
    weights: Weights
    tokenizer: Any
    folder: Path  # of the tokenizer's files

    @property
    def title(self) -> str:
        """The beginning of lines about this model's answers."""
        return f"{self.spec.key}: {self.device} {self.load}, {self.weights.note}"

    @property
    def device_name(self) -> str:
        """The name of the chip."""
        return identity(self.device)["device"]

    def loaded(self) -> ModelSlot:
        """The model in memory; LoadError."""
        slot = ModelSlot()
        slot.load(self.spec, self.device, self.load, self.weights, self.tokenizer)
        return slot


def rank_and_world() -> tuple[int, int]:
    """Rank and number of processes, from the variables of torchrun and accelerate.

    As a side effect each of several processes is left one GPU, for a model goes to the first that
    is visible. It must come before torch looks at the devices.
    """
    names = {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0"}
    try:
        rank, world, local = (int(os.environ.get(name, names[name])) for name in names)
    except ValueError:
        raise LoadError("RANK, WORLD_SIZE and LOCAL_RANK must be numbers: unset them") from None
    if world > 1:
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        gpus = [*map(str, range(local + 1))] if visible is None else visible.split(",")
        os.environ["CUDA_VISIBLE_DEVICES"] = gpus[local] if local < len(gpus) else ""
    return rank, world


def add_model_options(group: argparse._ActionsContainer) -> None:
    """Declare which model answers, and how it is loaded."""
    add, keys = group.add_argument, list(registry())
    add("--model", default="llama3_1", choices=keys, help="(default: llama3_1)")
    add("--load", default="nf4", choices=LOADS, help="(default: nf4)")
    add("--device", choices=get_args(Device), help="(default: cuda if there is one)")
    weights = "auto, hub, dummy, or a checkpoint folder (default: auto)"
    add("--weights", default="auto", metavar="WHAT", help=weights)
    add("--source", default="bundle", choices=SOURCES, help="of tokenizer files (default: bundle)")
    add("--model-dir", metavar="DIR", help="tokenizer files from this folder (default: none)")


def prepare_model(options: argparse.Namespace) -> ModelChoice:
    """Check the options and fetch what they name; AssetError, LoadError."""
    spec: Model = registry()[options.model]
    device: Device = options.device or ("cuda" if devices.has_cuda() else "cpu")
    if device == "cuda" and not devices.has_cuda():
        raise LoadError("--device cuda: torch sees no CUDA device: use --device cpu")
    if fault := devices.preflight(device):
        raise LoadError(fault)
    directories = [f"{spec.key}={options.model_dir}"] if options.model_dir else []
    weights = parse_weights([f"{spec.key}={options.weights}"])[spec.key]
    sources = Sources(options.source, parse_directories(directories))
    folder = prepare([spec], sources, say)[spec.key]
    fetched = prepare_weights(spec, device, weights, folder, say)
    return ModelChoice(spec, device, options.load, fetched, prepared_tokenizer(folder), folder)

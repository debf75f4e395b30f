"""What a sweep is to do, and all that its answers depend on."""

import argparse
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.harness.batches.answers import BATCH_TOKENS
from tests.harness.console import say
from tests.harness.data.registry import Device, Model, registry
from tests.harness.files import sha256
from tests.harness.model import device as devices
from tests.harness.model.loading import prepared_tokenizer
from tests.harness.prices.dataset import DataSet, data_of
from tests.harness.sources.folders import Sources, parse_directories, prepare
from tests.harness.sources.weights import Weights, parse_weights, prepare_weights
from tests.harness.versions import versions

from .ranks import rank_and_world
from .store import SweepError


@dataclass(frozen=True)
class Job:
    """A sweep's options, and what they name, fetched and checked."""

    options: argparse.Namespace
    data: DataSet
    spec: Model
    device: Device
    weights: Weights
    tokenizer: Any
    method: str  # score or generate
    batch_tokens: int
    rank: int
    world: int

    @property
    def title(self) -> str:
        """The beginning of lines about this sweep."""
        return f"{self.spec.key}: {self.device} {self.options.load}, {self.weights.note}"

    @property
    def predictions(self) -> Path:
        """The file with the answered rows."""
        return Path(self.options.out, f"predictions.{self.options.format}")

    @property
    def picture(self) -> Path | None:
        """The file with the picture, None if none is wanted."""
        kind = self.options.picture
        return None if kind == "none" else Path(self.options.out, f"picture.{kind}")

    @property
    def is_complete(self) -> bool:
        """Whether all files are there that the options ask for."""
        files = [self.predictions, self.predictions.with_name("summary.json"), self.picture]
        return all(path is None or path.is_file() for path in files)


def prepare_job(options: argparse.Namespace) -> Job:
    """Check the options, fetch what they name; AssetError, DataError, SweepError."""
    rank, world = rank_and_world()
    spec: Model = registry()[options.model]
    device: Device = options.device or ("cuda" if devices.has_cuda() else "cpu")
    if device == "cuda" and not devices.has_cuda():
        raise SweepError("--device cuda: torch sees no CUDA device: use --device cpu")
    if fault := devices.preflight(device):
        raise SweepError(fault)
    directories = [f"{spec.key}={options.model_dir}"] if options.model_dir else []
    sources = Sources(options.source, parse_directories(directories))
    weights_option = parse_weights([f"{spec.key}={options.weights}"])[spec.key]
    folder = prepare([spec], sources, say)[spec.key]
    return Job(
        options=options,
        data=data_of(options),
        spec=spec,
        device=device,
        weights=prepare_weights(spec, device, weights_option, folder, say),
        tokenizer=prepared_tokenizer(folder),
        method=options.method or ("score" if spec.can("single_token_prices") else "generate"),
        batch_tokens=options.batch_tokens or BATCH_TOKENS[device],
        rank=rank,
        world=world,
    )


def identity(job: Job) -> dict[str, Any]:
    """All that an answer depends on: a folder holds rows of one identity only."""
    data = {f"data {name}": value for name, value in asdict(job.data).items()}
    path = Path(job.data.name_or_path)
    if path.is_file():  # the same bytes elsewhere are the same data
        data |= {"data name_or_path": path.name, "data sha256": sha256(path)}
    return {
        "model": job.spec.key,
        "load": job.options.load,
        "device": device_name(job.device),
        "weights": job.weights.note,
        **data,
        "method": job.method,
        "new_tokens": job.options.new_tokens if job.method == "generate" else 1,
        "limit": job.options.limit,
        "window": job.options.window,
        "batch_tokens": job.batch_tokens,
        "compile": job.options.compile,
        **versions(),
    }


def device_name(device: Device) -> str:
    """The name of the chip, `cpu` for the CPU."""
    import torch

    return device if device == "cpu" else str(torch.cuda.get_device_name())

"""What a sweep is asked to do, and all that its answers depend on."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.harness.cache import sha256
from tests.harness.memory import Load
from tests.harness.models import Device, Model
from tests.harness.options import versions
from tests.harness.price_rows import DataSet
from tests.harness.weights import Weights


@dataclass(frozen=True)
class Job:
    """A sweep's options, with what they name at hand."""

    data: DataSet
    out: Path
    facts: Model
    load: Load
    device: Device
    weights: Weights
    tokenizer: Any
    method: str  # score or generate
    new_tokens: int
    limit: int
    window: int
    batch_tokens: int | None
    keep_every: float  # seconds between parts
    format: str
    picture: str
    check: int
    compile: bool
    quiet: bool
    rank: int
    world: int

    @property
    def title(self) -> str:
        """How lines about it begin."""
        return f"{self.facts.key}: {self.device} {self.load}, {self.weights.note}"

    @property
    def predictions(self) -> Path:
        """The file with the answered rows."""
        return self.out / f"predictions.{self.format}"

    @property
    def picture_path(self) -> Path:
        """The file with the picture, unless none is wanted."""
        return self.out / f"picture.{self.picture}"


def identity(job: Job) -> dict[str, Any]:
    """All that an answer depends on: a folder holds rows of one identity only."""
    data = {f"data {name}": value for name, value in asdict(job.data).items()}
    path = Path(job.data.name_or_path)
    if path.is_file():  # the same bytes elsewhere are the same data
        data |= {"data name_or_path": path.name, "data sha256": sha256(path)}
    return {
        "model": job.facts.key,
        "load": job.load,
        "device": device_name(job.device),
        "weights": job.weights.note,
        **data,
        "method": job.method,
        "new_tokens": job.new_tokens if job.method == "generate" else 1,
        "limit": job.limit,
        "window": job.window,
        "batch_tokens": job.batch_tokens,
        "compile": job.compile,
        **versions(),
    }


def device_name(device: Device) -> str:
    """The name of the chip, `cpu` for the CPU."""
    import torch

    return device if device == "cpu" else str(torch.cuda.get_device_name())

"""What a sweep is to do, and all that its answers depend on."""

import argparse
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.harness.batches.answers import BATCH_TOKENS
from tests.harness.files import sha256
from tests.harness.prices.dataset import DataSet, data_of, read_rows
from tests.harness.sources.identity import code_identity, tokenizer_identity, weights_identity
from tests.harness.versions import optional_versions, versions
from tests.tools.models import ModelChoice, prepare_model, rank_and_world

# What makes of rows answers, as whole folders: a list of files goes stale unnoticed.
CODE = ("fixtures/models.toml", "tests/harness", "tests/tools/sweep", "tests/tools/models.py")


@dataclass(frozen=True)
class Job:
    """A sweep's options, and what they name."""

    options: argparse.Namespace
    data: DataSet
    model: ModelChoice
    method: str  # score or generate
    batch_tokens: int
    rank: int
    world: int

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

    def identity(self) -> dict[str, Any]:
        """All that an answer depends on: a folder holds rows of one identity only."""
        data = {f"data {name}": value for name, value in asdict(self.data).items()}
        path = Path(self.data.name_or_path)
        if path.is_file():  # the same bytes elsewhere are the same data
            data |= {"data name_or_path": path.name, "data sha256": sha256(path)}
        return {
            "model": self.model.spec.key,
            "load": self.model.load,
            "device": self.model.device_name,
            "weights": self.model.weights.note,
            **weights_identity(self.model.weights),
            **tokenizer_identity(self.model.folder),
            **code_identity(*CODE),
            **data,
            "method": self.method,
            "new_tokens": self.options.new_tokens if self.method == "generate" else 1,
            "limit": self.options.limit,
            "window": self.options.window,
            "batch_tokens": self.batch_tokens,
            "compile": self.options.compile,
            **versions(),
            **optional_versions(),
        }


def prepare_job(options: argparse.Namespace) -> Job:
    """Check the options, fetch what they name; AssetError, DataError, LoadError."""
    rank, world = rank_and_world()
    data = data_of(options)
    next(read_rows(data))  # what cannot be read fails before anything is fetched
    model = prepare_model(options)
    method = "score" if model.spec.can("single_token_prices") else "generate"
    tokens = options.batch_tokens or BATCH_TOKENS[model.device]
    return Job(options, data, model, options.method or method, tokens, rank, world)

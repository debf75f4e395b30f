"""Loaded tokenizers: one of each model a session, by AutoTokenizer and by `tokenizers` alone."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

from .assets import Sources, prepare
from .cases import TextCase
from .errors import AssetError
from .models import Model, registry

PARTS = ("normalizer", "pre_tokenizer", "post_processor", "decoder")
FLAGS = (
    "dropout",
    "unk_token",
    "continuing_subword_prefix",
    "end_of_word_suffix",
    "fuse_unk",
    "byte_fallback",
    "ignore_merges",
)


@dataclass(frozen=True)
class Loaded:
    """A model's tokenizer twice: as users load it (`auto`) and as its file says (`raw`)."""

    model: Model
    folder: Path
    source: str
    auto: Any  # transformers' class hierarchy differs between versions: PreTrainedTokenizer*
    raw: Any  # tokenizers.Tokenizer
    memo: dict[str, list[int]] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """The model's key in the registry."""
        return self.model.key

    @cached_property
    def file(self) -> dict[str, Any]:
        """`tokenizer.json` as it stands in the folder."""
        content: dict[str, Any] = json.loads((self.folder / "tokenizer.json").read_bytes())
        return content

    @cached_property
    def byte_level(self) -> bool:
        """Whether tokens are written in the byte-level alphabet (else SentencePiece's)."""
        return type(self.raw.decoder).__name__ == "ByteLevel"

    def ids(self, text: TextCase) -> list[int]:
        """What `AutoTokenizer...encode` gives for the case; encoded once a session."""
        if text.name not in self.memo:
            self.memo[text.name] = self.auto.encode(text.full_text)
        return self.memo[text.name]


def load(model: Model, folder: Path, source: str) -> Loaded:
    """Load both tokenizers of a folder; nothing in it may run code."""
    from tokenizers import Tokenizer
    from transformers import AutoTokenizer

    auto = AutoTokenizer.from_pretrained(str(folder), trust_remote_code=False)
    raw = Tokenizer.from_file(str(folder / "tokenizer.json"))
    return Loaded(model, folder, source, auto, raw)


def pipeline(tokenizer: Any) -> dict[str, Any]:
    """Normalizer, pre-tokenizer, post-processor, decoder and model flags of a live tokenizer."""
    parts = {part: getattr(tokenizer, part) for part in PARTS}
    state = {part: json.loads(it.__getstate__()) if it else None for part, it in parts.items()}
    return state | {"model": {flag: getattr(tokenizer.model, flag) for flag in FLAGS}}


def file_pipeline(content: dict[str, Any]) -> dict[str, Any]:
    """The same of a `tokenizer.json`'s content; a flag that is not written is False or None."""
    model = content["model"]
    missing = {"ignore_merges": False}
    flags = {flag: model.get(flag, missing.get(flag)) for flag in FLAGS}
    return {part: content[part] for part in PARTS} | {"model": flags}


@pytest.fixture(scope="session")
def loader(request: pytest.FixtureRequest) -> Callable[[str], Loaded]:
    """Loads a model by key, once; all folders are prepared on the first call."""
    sources: Sources = request.config.stash[SOURCES]
    keys = request.config.stash[KEYS]
    folders: dict[str, Path] = {}
    loaded: dict[str, Loaded] = {}
    problem: list[str] = []

    def say(message: str) -> None:
        capture = request.config.pluginmanager.getplugin("capturemanager")
        with capture.global_and_fixture_disabled():
            print(f"\n{message}", end="", flush=True)

    def get(key: str) -> Loaded:
        if problem:
            pytest.fail(problem[0], pytrace=False)
        try:
            if not folders:
                folders.update(prepare([registry()[k] for k in keys], sources, say))
        except AssetError as error:
            problem.append(f"{key}: {error}")
            pytest.fail(problem[0], pytrace=False)
        if key not in loaded:
            loaded[key] = load(registry()[key], folders[key], sources.of(key))
        return loaded[key]

    return get


@pytest.fixture
def model(request: pytest.FixtureRequest, loader: Callable[[str], Loaded]) -> Loaded:
    """The loaded model a test is parametrised with."""
    return loader(request.param)


SOURCES = pytest.StashKey[Sources]()
KEYS = pytest.StashKey[list[str]]()

"""Loaded tokenizers: one of each model a session, by AutoTokenizer and by `tokenizers` alone."""

import gc
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

from .assets import Sources, prepare
from .availability import unavailable
from .cache import sha256
from .cases import TextCase
from .errors import AssetError
from .models import Model, registry
from .progress import Progress
from .secrets import scrub
from .tokenizer_file import File, file_of


@dataclass(frozen=True)
class Loaded:
    """A model's tokenizer twice: as users load it (`auto`) and as its file says (`raw`).

    Parametrisation hands these out; nothing is prepared or loaded before a test asks.
    """

    model: Model
    source: str
    folders: Callable[[], dict[str, Path]]
    memo: dict[str, list[int]] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """The model's key in the registry."""
        return self.model.key

    @cached_property
    def folder(self) -> Path:
        """The folder with the model's files.

        Skips the test if nothing that was given has them, and fails it if they cannot be had.
        """
        if self.lacking:
            pytest.skip(self.lacking)
        return self.folders()[self.key]

    @cached_property
    def lacking(self) -> str:
        """Why the run has no files of the model, and what to type; empty if it has."""
        return "" if self.source == "directory" else unavailable(self.model, self.source)

    @cached_property
    def auto(self) -> Any:
        """What `AutoTokenizer` makes of the folder; nothing in it may run code."""
        from transformers import AutoTokenizer

        auto = AutoTokenizer.from_pretrained(str(self.folder), trust_remote_code=False)
        gc.freeze()  # a vocabulary lives as long as the run: no need to look at it again
        return auto

    @cached_property
    def file(self) -> File:
        """The folder's `tokenizer.json`."""
        return file_of(self.folder / "tokenizer.json")

    @property
    def raw(self) -> Any:
        """The file's own `tokenizers.Tokenizer`."""
        return self.file.tokenizer

    @cached_property
    def byte_level(self) -> bool:
        """Whether tokens are written in the byte-level alphabet (else SentencePiece's)."""
        return type(self.raw.decoder).__name__ == "ByteLevel"

    @cached_property
    def changed_files(self) -> list[str]:
        """Names of the files that are not the pinned ones.

        A hash that was not published says nothing of a hub's file, so it is not compared there.
        """
        return [
            name
            for name, file in self.model.files.items()
            if (file.published or self.source != "hub")
            and (not (self.folder / name).is_file() or sha256(self.folder / name) != file.sha256)
        ]

    def ids(self, text: TextCase) -> list[int]:
        """What `AutoTokenizer...encode` gives for the case; encoded once a session."""
        if text.name not in self.memo:
            self.memo[text.name] = self.auto.encode(text.full_text)
        return self.memo[text.name]

    def plain_ids(self, text: TextCase) -> list[int]:
        """The same without special tokens."""
        name = f"{text.name} plain"
        if name not in self.memo:
            self.memo[name] = self.auto.encode(text.full_text, add_special_tokens=False)
        return self.memo[name]


def say_past_capture(config: pytest.Config) -> Progress:
    """Prints progress where the user sees it, whatever pytest captures, and from workers, too."""

    def say(message: str) -> None:
        capture = config.pluginmanager.getplugin("capturemanager")
        with capture.global_and_fixture_disabled():
            # A worker's stdout is pytest-xdist's; its stderr is the user's.
            stream = sys.stderr if hasattr(config, "workerinput") else sys.stdout
            print(f"\n{scrub(message)}", end="", file=stream, flush=True)

    return say


def models_of(config: pytest.Config) -> dict[str, Loaded]:
    """The chosen models by key, one object each for the whole session."""
    if MODELS not in config.stash:
        sources, keys = config.stash[SOURCES], config.stash[KEYS]
        answers: list[dict[str, Path] | AssetError] = []

        def folders() -> dict[str, Path]:
            if not answers:
                try:
                    loaded = config.stash[MODELS].values()
                    chosen = [it.model for it in loaded if not it.lacking]
                    answers.append(prepare(chosen, sources, say_past_capture(config)))
                except AssetError as error:
                    answers.append(error)  # said by every test, but tried once
            if isinstance(answers[0], AssetError):
                pytest.fail(str(answers[0]), pytrace=False)
            return answers[0]

        config.stash[MODELS] = {
            key: Loaded(registry()[key], sources.of(key), folders) for key in keys
        }
    return config.stash[MODELS]


SOURCES = pytest.StashKey[Sources]()
KEYS = pytest.StashKey[list[str]]()
MODELS = pytest.StashKey[dict[str, Loaded]]()
WEIGHTS = pytest.StashKey[dict[str, str]]()  # what --weights says, by model key

"""A loaded tokenizer: as AutoTokenizer makes it, and as its file says."""

import gc
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

from ..data.cases import TextCase
from ..data.registry import Model
from ..files import sha256
from ..sources.folders import unavailable_reason
from .tokenizer_json import TokenizerJson, tokenizer_json


@dataclass(frozen=True)
class LoadedTokenizer:
    """A model's tokenizer twice: as users load it, `transformers`, and as its file says,
    `tokenizers`.

    Parametrizing hands these out; nothing is prepared or loaded before a test asks.
    """

    spec: Model
    source: str
    folders: Callable[[], dict[str, Path]]
    memo: dict[str, list[int]] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """The model's key in the registry."""
        return self.spec.key

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
        return "" if self.source == "directory" else unavailable_reason(self.spec, self.source)

    @cached_property
    def transformers(self) -> Any:
        """What `AutoTokenizer` makes of the folder; nothing in it may run code."""
        from transformers import AutoTokenizer

        auto = AutoTokenizer.from_pretrained(str(self.folder), trust_remote_code=False)
        gc.freeze()  # a vocabulary lives as long as the run: no need to look at it again
        return auto

    @cached_property
    def json_file(self) -> TokenizerJson:
        """The folder's `tokenizer.json`."""
        return tokenizer_json(self.folder / "tokenizer.json")

    @property
    def tokenizers(self) -> Any:
        """The file's own `tokenizers.Tokenizer`."""
        return self.json_file.tokenizer

    @cached_property
    def byte_level(self) -> bool:
        """Whether tokens are written in the byte-level alphabet (else SentencePiece's)."""
        return type(self.tokenizers.decoder).__name__ == "ByteLevel"

    @cached_property
    def changed_files(self) -> list[str]:
        """Names of the files that are not the pinned ones.

        A hash that was not published says nothing of a hub's file, so it is not compared there.
        """
        return [
            name
            for name, file in self.spec.files.items()
            if (file.published or self.source != "hub")
            and (not (self.folder / name).is_file() or sha256(self.folder / name) != file.sha256)
        ]

    def ids(self, text: TextCase) -> list[int]:
        """What `AutoTokenizer...encode` gives for the case; encoded once a session."""
        if text.name not in self.memo:
            self.memo[text.name] = self.transformers.encode(text.full_text)
        return self.memo[text.name]

    def plain_ids(self, text: TextCase) -> list[int]:
        """The same without special tokens."""
        name = f"{text.name} plain"
        if name not in self.memo:
            self.memo[name] = self.transformers.encode(text.full_text, add_special_tokens=False)
        return self.memo[name]

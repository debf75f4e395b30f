"""A loaded tokenizer: as AutoTokenizer makes it, and as its tokenizer.json defines it."""

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

from ..data.cases import TextCase
from ..data.recipes import read_recipe
from ..data.registry import Model, registry
from ..errors import AssetError
from ..files import sha256
from ..sources.folders import examine
from .tokenizer_json import TokenizerJson, keeps_white_space, tokenizer_json


def load_auto(folder: Path, **given: Any) -> Any:
    """What `AutoTokenizer` makes of a folder and further arguments; nothing in it may run code."""
    gc.disable()  # libraries and vocabularies live as long as the run: none of it is garbage
    try:
        from transformers import AutoTokenizer

        auto = AutoTokenizer.from_pretrained(str(folder), trust_remote_code=False, **given)
    finally:
        gc.enable()
    gc.freeze()
    return auto


@dataclass(frozen=True)
class LoadedTokenizer:
    """A model's tokenizer twice: `transformers` as users load it, `tokenizers` by its file alone.

    Tests are parametrized with these; nothing is prepared or loaded before a test uses it.
    """

    spec: Model
    source: str
    folders: Callable[[], dict[str, Path]]  # prepares the files of all models, at the first call
    missing_reason: str = ""  # why no source has the model's files, and what to type
    _ids: dict[str, list[int]] = field(default_factory=dict)  # by case, and "plain" without BOS

    @property
    def key(self) -> str:
        """The model's key in the registry."""
        return self.spec.key

    @cached_property
    def folder(self) -> Path:
        """The folder with the model's files, fit to be loaded.

        Skips the test if no source has them, and fails it if they cannot be prepared or loaded.
        """
        if self.missing_reason:
            pytest.skip(self.missing_reason)
        folder = self.folders()[self.key]
        try:
            examine(self.spec, self.source, folder)
        except AssetError as error:
            pytest.fail(str(error), pytrace=False)
        return folder

    @cached_property
    def transformers(self) -> Any:
        """What `AutoTokenizer` makes of the folder; nothing in it may run code."""
        return load_auto(self.folder)

    @cached_property
    def json_file(self) -> TokenizerJson:
        """The folder's `tokenizer.json`."""
        return tokenizer_json(self.folder / "tokenizer.json")

    @cached_property
    def keeps_white_space(self) -> bool:
        """Whether ids of any text lead back to it, as the recipe has it; of a draft, as its file.

        A file that has lost its bytes must not be the reason to demand less of it.
        """
        if self.key not in registry():
            return keeps_white_space(self.json_file.content)
        content = read_recipe(self.key).files["tokenizer.json"].content
        assert isinstance(content, dict)
        return keeps_white_space(content)

    @contextmanager
    def changed(self, **settings: object) -> Iterator[None]:
        """Set attributes of the shared `transformers`, and set them back at the end."""
        before = {name: getattr(self.transformers, name) for name in settings}
        try:
            for name, value in settings.items():
                setattr(self.transformers, name, value)
            yield
        finally:
            for name, value in before.items():
                setattr(self.transformers, name, value)

    @property
    def front(self) -> list[int]:
        """The ids that the model puts in front of a text: BOS, or what the registry says."""
        if self.spec.tokenizer.front is not None:
            return list(self.spec.tokenizer.front)
        bos = self.spec.tokenizer.bos
        return [bos] if self.spec.can("bos") and bos is not None else []

    @property
    def behind(self) -> list[int]:
        """The ids that the model puts behind a text."""
        return list(self.spec.tokenizer.behind)

    @property
    def between(self) -> list[int]:
        """The ids between the two texts of a pair."""
        declared = self.spec.tokenizer.between
        return [*self.behind, *self.front] if declared is None else list(declared)

    def whole(self, ids: Sequence[int]) -> list[int]:
        """A text's ids with what the model puts around them."""
        return [*self.front, *ids, *self.behind]

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

        A hub's file is compared only where its hash was published: any other may differ.
        """
        return [
            name
            for name, file in self.spec.files.items()
            if (file.published or self.source != "hub")
            and (not (self.folder / name).is_file() or sha256(self.folder / name) != file.sha256)
        ]

    def ids(self, text: TextCase) -> list[int]:
        """What `AutoTokenizer...encode` gives for the case; encoded once a session."""
        return self._encode(text, text.name)

    def plain_ids(self, text: TextCase) -> list[int]:
        """The same without special tokens."""
        return self._encode(text, f"{text.name} plain", add_special_tokens=False)

    def _encode(self, text: TextCase, name: str, **given: bool) -> list[int]:
        if name not in self._ids:
            self._ids[name] = self.transformers.encode(text.full_text, **given)
        return self._ids[name]

"""Faults in the GGUF that is served, as other converters and hands make them."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.harness.data.engines import EngineFile
from tests.harness.data.registry import Model
from tests.harness.engines.tiny import vocabulary_metadata, write_tiny
from tests.harness.plugins import engines
from tests.serving import test_answers

from ..places import Function, replace

_TYPES = "tokenizer.ggml.token_type"
_TOKENS = "tokenizer.ggml.tokens"


def _changed(change: Callable[[dict[str, Any]], object]) -> None:
    """Serve a file whose keys were changed."""

    def make(_: Function) -> Function:
        def faulty(folder: Path, model: Model, facts: EngineFile, pinned: bool) -> Path:
            given = vocabulary_metadata(folder, model, facts)
            change(given)
            file = Path(tempfile.mkdtemp(prefix="planted-")) / f"{model.key}.gguf"
            write_tiny(file, model, given)
            return file

        return faulty

    replace(engines, "tiny_file", make)


def key_changed(key: str, value: Any) -> None:
    """A key with another value."""
    _changed(lambda given: given.__setitem__(key, value))


def key_lost(key: str) -> None:
    """A key that was not written."""
    _changed(lambda given: given.pop(key))


def type_changed(token: str, kind: int) -> None:
    """A token of another type: 1 normal, 3 control, 4 defined by a user."""

    def change(given: dict[str, Any]) -> None:
        given[_TYPES][given[_TOKENS].index(token)] = kind

    _changed(change)


def values_swapped(key: str, left: int, right: int) -> None:
    """Two values of a list that stand in each other's place."""

    def change(given: dict[str, Any]) -> None:
        values = given[key]
        values[left], values[right] = values[right], values[left]

    _changed(change)


def list_cut(key: str, length: int) -> None:
    """A list that ends early."""
    _changed(lambda given: given.__setitem__(key, given[key][:length]))


def scores_lost() -> None:
    """Scores that are all the same, as a converter writes them that knows no merges."""
    key = "tokenizer.ggml.scores"
    _changed(lambda given: given.__setitem__(key, [0.0] * len(given[key])))


def template_replaced(old: str, new: str) -> None:
    """Another version of the chat template."""
    key = "tokenizer.chat_template"
    _changed(lambda given: given.__setitem__(key, given[key].replace(old, new)))


def weights_stay_quantized() -> None:
    """A conversion that keeps four bits where float32 was asked for."""

    def make(_: Function) -> Function:
        return lambda source, target: target.write_bytes(source.read_bytes())

    replace(test_answers, "write_in_float32", make)

"""Keeps what a library did: `observed[kind][call][case]`, an error like any other value."""

import json
import logging
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from logging.handlers import BufferingHandler
from pathlib import Path
from typing import Any

from tests.harness.files import sha256_text
from tests.harness.text import shortened

Observed = dict[str, dict[str, dict[str, Any]]]
SETTINGS = 100  # keys; a JSON file with more is a vocabulary
LONG = 2_000  # characters of JSON; of what is longer, digest and size are kept


def short(value: Any) -> Any:
    """The value, or digest and size of one that is too long to be looked at."""
    text = json.dumps(value, sort_keys=True)
    if len(text) <= LONG:
        return value
    size = f"{len(value)} entries" if isinstance(value, dict | list) else f"{len(value)} characters"
    return f"sha256 {sha256_text(text)[:16]}, {size}"


def type_name(value: Any) -> str:
    """A type's name, with that of the first entry: `list[int]`."""
    inner = f"[{type(value[0]).__name__}]" if isinstance(value, list | tuple) and value else ""
    return type(value).__name__ + inner


def typed(value: Any) -> dict[str, Any]:
    """A result as JSON, with its type; tensors and mappings inside of it have theirs."""
    return {"type": type_name(value), "value": _plain(value)}


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, Mapping) or hasattr(value, "keys"):
        return {str(name): _plain(value[name]) for name in value.keys()}  # noqa: SIM118
    if hasattr(value, "tolist"):
        return [f"{type_name(value)} {value.dtype} {list(value.shape)}", _plain(value.tolist())]
    return type_name(value)


class Observer:
    """Collects observations; what `names` holds replaces its keys in messages."""

    def __init__(self, names: dict[str, str]) -> None:
        """Start with nothing observed."""
        self.observed: Observed = {}
        self.names = names

    def note(self, kind: str, call: str, case: str, value: Any) -> None:
        """Keep a value."""
        self.observed.setdefault(kind, {}).setdefault(call, {})[case] = value

    def clean(self, message: str) -> str:
        """The first line of a message, without folders that differ from run to run."""
        for folder, name in self.names.items():
            message = message.replace(folder, name)
        return shortened((message.strip().splitlines() or [""])[0], 300)

    def attempt(
        self, kind: str, call: str, case: str, work: Callable[..., Any], *arguments: Any
    ) -> Any:
        """Keep what the work gives, or its error; None after an error."""
        try:
            value = work(*arguments)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # a PanicException of the Rust side is no Exception
            reported = f"{type(error).__name__}: {self.clean(str(error))}"
            self.note(kind, call, case, {"error": reported})
            return None
        self.note(kind, call, case, value)
        return value

    @contextmanager
    def messages(self, call: str) -> Iterator[None]:
        """Keep what is warned or logged meanwhile, each message once."""
        handler = BufferingHandler(sys.maxsize)
        handler.setLevel(logging.WARNING)
        loggers = [logging.getLogger(), logging.getLogger("transformers")]
        for logger in loggers:
            logger.addHandler(handler)
        try:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                yield
        finally:
            for logger in loggers:
                logger.removeHandler(handler)
        messages = [self.clean(record.getMessage()) for record in handler.buffer]
        messages += [f"{one.category.__name__}: {self.clean(str(one.message))}" for one in caught]
        self.note("errors and warnings", call, "", list(dict.fromkeys(messages)))

    def files(self, folder: Path) -> None:
        """Keep the files in a folder: JSON key by key, of everything else the text."""
        for path in sorted(folder.iterdir()):
            text = path.read_bytes().decode("utf-8", "replace")
            for key, value in _entries(path, text):
                self.note("files written", path.name, key, short(value))


def _entries(path: Path, text: str) -> Iterator[tuple[str, Any]]:
    """Key and value of a JSON file's entries, those of a tokenizer's model one by one."""
    if path.suffix != ".json":
        yield "", text
        return
    content = json.loads(text)
    if not isinstance(content, dict) or len(content) > SETTINGS:
        yield "", content
        return
    for key, value in content.items():
        if path.name == "tokenizer.json" and key == "model":
            for part, inner in value.items():
                yield f"model.{part}", inner
        else:
            yield key, value

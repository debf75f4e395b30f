"""A model as an engine serves it, beside its pinned tokenizer and the settings it samples by."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ..data.cases import ChatCase
from ..data.engines import Engine
from ..tokenizer.loaded import LoadedTokenizer
from .asking import Connection
from .packaged import PACKAGED
from .starting import engine_version


@dataclass(frozen=True)
class Served:
    """A model in an engine: the file that is served, and the engine as it runs.

    Tests are parametrized with these; nothing is built or started before a test uses it.
    """

    engine: Engine
    tokenizer: LoadedTokenizer
    prepare: Callable[["Served"], Path]  # the file to serve, examined
    run: Callable[["Served"], Connection]
    variant: str = ""  # which file, if it is not the one that is built from the tokenizer's folder
    column: str = ""  # of the table at the end
    url: str = ""  # of a server that somebody else runs, whose file nobody sees

    @property
    def key(self) -> str:
        """The model's key in the registry."""
        return self.tokenizer.key

    @property
    def name(self) -> str:
        """What test names call it."""
        return "-".join(filter(None, (self.key, self.variant)))

    @property
    def is_packaged(self) -> bool:
        """Whether it is the file of the model's package, which holds real weights."""
        return self.variant == PACKAGED

    @property
    def label(self) -> str:
        """Who is asked, as a failure's first line says it."""
        version = "" if self.url else engine_version(self.engine)
        return f"{self.engine.title} {version}".strip()

    @property
    def bos_text(self) -> str:
        """The model's BOS as it is written; empty if it has none."""
        bos = self.tokenizer.spec.tokenizer.bos
        return "" if bos is None else str(self.tokenizer.tokenizers.id_to_token(bos))

    def prompt_text(self, chat: ChatCase, **changes: Any) -> str:
        """The prompt as text: as the engine shows it, or what the ids that it makes are of."""
        connection = self.connection
        if connection.can("prompt"):
            return self.with_bos(connection.prompt(chat, **changes))
        ids = connection.prompt_ids(chat, **changes)
        return str(self.tokenizer.tokenizers.decode(ids, skip_special_tokens=False))

    def with_bos(self, prompt: str) -> str:
        """A prompt with the BOS that its ids begin with, where the engine leaves it out."""
        lacks = self.engine.adds_bos and self.tokenizer.spec.can("bos")
        return self.bos_text + prompt if lacks and not prompt.startswith(self.bos_text) else prompt

    @cached_property
    def file(self) -> Path:
        """The GGUF that is served, or the folder of an engine that takes it as it is."""
        return self.prepare(self)

    @cached_property
    def connection(self) -> Connection:
        """The running engine; started at the first use."""
        return self.run(self)


# By name, with what transformers takes where generation_config.json says nothing.
SAMPLING = {
    "temperature": 1.0,
    "top_k": 50,
    "top_p": 1.0,
    "min_p": 0.0,
    "repetition_penalty": 1.0,
}
_FILE = "generation_config.json"


def settings_of(tokenizer: LoadedTokenizer) -> tuple[str, ...]:
    """The settings that decide the model's answers: of a model that does not sample, one."""
    return tuple(SAMPLING) if _FILE in tokenizer.spec.files else ("temperature",)


def resolved(tokenizer: LoadedTokenizer, name: str) -> float:
    """What transformers resolves; a temperature of 0 says that the likeliest token is taken."""
    path = tokenizer.folder / _FILE
    given = json.loads(path.read_bytes()) if path.is_file() else {}
    if not given.get("do_sample"):
        return 0.0 if name == "temperature" else SAMPLING[name]
    return float(given.get(name, SAMPLING[name]))

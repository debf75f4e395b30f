"""What an engine makes of a model: runs inside each environment and judges nothing."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.harness.data.cases import conversations, texts
from tests.harness.data.engines import DEFAULT, engines
from tests.harness.data.registry import registry
from tests.harness.engines.asking import Connection
from tests.harness.engines.client import Client
from tests.harness.engines.starting import start
from tests.harness.engines.tiny import tiny_file

from .record import Observer


def prepare_files(folders: dict[str, Path]) -> None:
    """Write the tiny file of every model into the cache, for environments that cannot."""
    engine = engines()[DEFAULT]
    for key, folder in folders.items():
        if facts := engine.files.get(key):
            tiny_file(folder, registry()[key], facts, pinned=False)


def observe_engine(observer: Observer, folder: Path, key: str) -> None:
    """Ids of every text, prompt and number of tokens of every conversation, and settings."""
    engine, model = engines()[DEFAULT], registry()[key]
    if key not in engine.files:
        observer.note("load", "load", "", "no file of this model is declared")
        return
    servers: list[Any] = []

    def load() -> str:
        file = tiny_file(folder, model, engine.files[key], pinned=False)
        servers.append(start(engine, file, engine.options))
        return "loaded"

    observer.attempt("load", "load", "", load)
    if not servers:
        return
    connection = Connection(engine, Client(servers[0].listening_address))
    paths = {name: route.path for name, route in engine.routes.items()}
    ways: dict[str, Callable[[str], Any]] = {
        paths["ids"]: connection.ids,
        f"{paths['ids']} (no special tokens)": lambda text: connection.ids(text, special=False),
        f"{paths['ids']} (not parsed)": lambda text: connection.ids(text, False, False),
    }
    for case in texts().values():
        for call, way in ways.items():
            observer.attempt("ids", call, case.name, way, case.full_text)
    for chat in conversations().values():
        if not model.can("chat", *chat.needs):
            continue
        observer.attempt("rendered text", paths["prompt"], chat.name, connection.prompt, chat)
        observer.attempt("return type", paths["count"], chat.name, connection.count, chat)
    for name, value in connection.ask("settings").items():
        if name != "seed":
            observer.note("pipeline", f"setting {name}", "", str(value))

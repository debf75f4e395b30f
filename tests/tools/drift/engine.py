"""What an engine makes of a model: runs inside each environment and judges nothing."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.harness.data.cases import conversations, texts
from tests.harness.data.engines import DEFAULT, engines
from tests.harness.data.registry import Model, registry
from tests.harness.engines.asking import Connection
from tests.harness.engines.client import Client
from tests.harness.engines.starting import Process, start, start_apart
from tests.harness.engines.tiny import tiny_file

from .record import Observer


def prepare_files(folders: dict[str, Path]) -> None:
    """Write the tiny file of every model into the cache, for environments that cannot."""
    engine = engines()[DEFAULT]
    for key, folder in folders.items():
        if facts := engine.files.get(key):
            tiny_file(folder, registry()[key], facts, pinned=False)


def observe_engine(observer: Observer, folder: Path, key: str, name: str, home: Path) -> None:
    """Ids of every text, prompt and number of tokens of every conversation, and settings.

    `home` is the environment that an engine with one of its own is started from.
    """
    engine, model = engines()[name].as_started(), registry()[key]
    if not (engine.apart or key in engine.files):
        observer.note("load", "load", "", "no file of this model is declared")
        return
    servers: list[Any] = []

    def load() -> str:
        if engine.apart:
            servers.append(start_apart(engine, key, folder, home))
        else:
            file = tiny_file(folder, model, engine.files[key], pinned=False)
            servers.append(start(engine, file, engine.options))
        return "loaded"

    observer.attempt("load", "load", "", load)
    if not servers:
        return
    try:
        _observe_all(observer, Connection(engine, Client(servers[0].listening_address)), model)
    finally:
        if isinstance(servers[0], Process):
            servers[0].close()


def _observe_all(observer: Observer, connection: Connection, model: Model) -> None:
    paths = {name: route.path for name, route in connection.engine.routes.items()}
    ways: dict[str, Callable[[str], Any]] = {
        paths["ids"]: connection.ids,
        f"{paths['ids']} (no special tokens)": lambda text: connection.ids(text, special=False),
    }
    if connection.can("ids.parsed"):
        ways[f"{paths['ids']} (not parsed)"] = lambda text: connection.ids(text, False, False)
    for case in texts().values():
        for call, way in ways.items():
            observer.attempt("ids", call, case.name, way, case.full_text)
    for chat in conversations().values():
        if not model.can("chat", *chat.needs):
            continue
        if connection.can("prompt"):
            observer.attempt("rendered text", paths["prompt"], chat.name, connection.prompt, chat)
        else:
            call, ask = paths["prompt_ids"], connection.prompt_ids
            observer.attempt("ids", call, chat.name, ask, chat)
        observer.attempt("return type", paths["count"], chat.name, connection.count, chat)
    for name, value in connection.ask("settings").items():
        if name != "seed":
            observer.note("pipeline", f"setting {name}", "", str(value))

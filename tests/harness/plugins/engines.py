"""The models as engines serve them, each started once a session; what their tests run on."""

import shutil
import tempfile
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from ..data.engines import Engine, engines, runnable
from ..engines.asking import Connection, has_route
from ..engines.client import Client, Limits
from ..engines.endpoint import Endpoint
from ..engines.given import copy_given
from ..engines.metadata import KEYS_THAT_DECIDE
from ..engines.packaged import package_file, package_variant
from ..engines.served import SAMPLING, Served, settings_of
from ..engines.starting import Process, start, start_apart
from ..engines.tiny import tiny_file
from ..environments import engine_folder
from ..errors import AssetError, LoadError
from ..sources.cache import mark_used
from ..tokenizer.loaded import LoadedTokenizer
from .parametrize import ARGUMENTS, marked, name_of
from .tokenizers import ENDPOINTS, GGUFS, progress_past_capture, tokenizers_of

_SERVED = pytest.StashKey[list[Served]]()
_SERVERS = pytest.StashKey[list[Any]]()  # what must not be dropped before the end


def served_of(config: pytest.Config) -> list[Served]:
    """The chosen models in each engine: of their folder's own file, and of their package's."""
    if _SERVED not in config.stash:
        config.stash[_SERVED], config.stash[_SERVERS] = [], []
        tokenizers = tokenizers_of(config).values()
        config.stash[_SERVED] += [
            served
            for engine in runnable(engines_of(config))
            for tokenizer in tokenizers
            if tokenizer.key not in config.stash[ENDPOINTS]
            for served in _served(config, engine, tokenizer)
        ]
    return config.stash[_SERVED]


def engines_of(config: pytest.Config) -> Collection[str]:
    """The keys of engines that run beside that of every run; the ledger counts all."""
    given: list[str] = config.getoption("engine")
    return list(engines()) if config.getoption("evidence_update") else given


def _served(config: pytest.Config, engine: Engine, tokenizer: LoadedTokenizer) -> Iterator[Served]:
    """A model in an engine: once, or once for each of its files."""

    def prepare(served: Served) -> Path:
        return _file(config, served)

    def run(served: Served) -> Connection:
        return _run(config, served)

    key = tokenizer.key
    if engine.apart:
        if key in engine.apart.models:
            yield Served(engine, tokenizer, prepare, run, engine.variant, engine.key)
    elif key in engine.files:
        column = "gguf" if key in config.stash[GGUFS] else engine.key
        for variant in ("", *filter(None, [package_variant(key)])):
            yield Served(engine, tokenizer, prepare, run, variant, column)


def _file(config: pytest.Config, served: Served) -> Path:
    """The file or folder to serve; fails the test if it cannot be had."""
    tokenizer = served.tokenizer
    try:
        if served.engine.apart:
            return tokenizer.folder
        if served.variant:
            return package_file(served.key, progress_past_capture(config))
        if given := config.stash[GGUFS].get(served.key):
            folder = Path(tempfile.mkdtemp(prefix="served-"))
            config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))
            copy = folder / given.name
            copy_given(given, tokenizer.spec, served.engine, copy)
            return copy
        facts = served.engine.files[served.key]
        pinned = not tokenizer.changed_files
        return tiny_file(tokenizer.folder, tokenizer.spec, facts, pinned)
    except AssetError as error:
        pytest.fail(str(error), pytrace=False)


def _run(config: pytest.Config, served: Served) -> Connection:
    """The engine on the file; skips the test where it is not installed."""
    if served.engine.apart:
        return _run_apart(config, served)
    pytest.importorskip(
        served.engine.package,
        reason=f"needs {served.engine.package}: pip install -r requirements.txt",
    )
    try:
        server = start(served.engine, served.file, served.engine.options)
    except LoadError as error:
        pytest.fail(f"{served.key}: {error}", pytrace=False)
    config.stash[_SERVERS].append(server)
    return Connection(served.engine, Client(server.listening_address, Limits(trusted=True)))


def _run_apart(config: pytest.Config, served: Served) -> Connection:
    """The engine from its own environment, in place of the model before: each takes a gigabyte."""
    engine, servers, home = served.engine, config.stash[_SERVERS], engine_folder(served.engine)
    assert engine.apart is not None
    if not home.is_dir():
        make = f"python -m tests.tools.engines.install {engine.key}"
        pytest.skip(f"needs {engine.title} {engine.apart.version} ({engine.apart.costs}): {make}")
    with suppress(OSError):  # of a cache that is read-only, where nothing is pruned
        mark_used(home)
    for server in [server for server in servers if isinstance(server, Process)]:
        server.close()
        servers.remove(server)
    progress_past_capture(config)(f"{served.key}: {engine.title} starts, which takes a minute")
    try:
        server = start_apart(engine, served.key, served.file, home)
    except LoadError as error:
        pytest.fail(f"{served.key}: {error}", pytrace=False)
    servers.append(server)
    return Connection(engine, Client(server.listening_address, Limits(seconds=60, trusted=True)))


def why_unserved(served: Served) -> str:
    """Why nothing can be asked, in one line; empty if the engine answers. Tried once."""
    known = vars(served)
    if "why_unserved" not in known:
        known["why_unserved"] = ""
        try:
            _ = served.connection
        except pytest.fail.Exception as error:
            known["why_unserved"] = str(error)
    return str(known["why_unserved"])


def pytest_unconfigure(config: pytest.Config) -> None:
    """End the engines before Python ends."""
    for served in config.stash.get(_SERVED, []):
        if "connection" in vars(served):
            served.connection.client.close()
    for server in config.stash.get(_SERVERS, []):
        if isinstance(server, Process):
            server.close()
    config.stash.get(_SERVERS, []).clear()


def engine_package(item: pytest.Item) -> str:
    """The package of the engine that a test is about; empty if it is about none."""
    served = _served_by(item)
    return served.engine.package if served else ""


def _served_by(item: pytest.Item) -> Served | None:
    call = getattr(item, "callspec", None)
    values = call.params.values() if call else ()
    return next((value for value in values if isinstance(value, Served)), None)


def one_after_the_other(items: list[pytest.Item]) -> None:
    """Put tests of engines with processes of their own last, model by model: one runs at a time."""
    names: dict[str, int] = {}

    def place(item: pytest.Item) -> int:
        served = _served_by(item)
        own = served is not None and served.engine.apart is not None
        return names.setdefault(served.name, len(names) + 1) if served and own else 0

    items.sort(key=place)


def _values(name: str, served: Served, chosen: dict[str, LoadedTokenizer]) -> Sequence[object]:
    """What a test's second argument can be for a model."""
    if name == "metadata_key":
        return KEYS_THAT_DECIDE if served.engine.files else ()
    if name == "sampled":
        return list(settings_of(served.tokenizer))
    if name == "sent":
        return list(SAMPLING)
    if name == "continued":
        chats: Sequence[Any] = ARGUMENTS["chat"](served.tokenizer, chosen)
        return [chat for chat in chats if chat.continue_final_message]
    return ARGUMENTS[name](served.tokenizer, chosen)


_OWN = ("metadata_key", "sampled", "sent", "continued")


def parametrize_served(metafunc: pytest.Metafunc) -> None:
    """Give a test the models in engines, or pairs of these and its second argument.

    A test with `endpoint` gets the servers that were given, if any.
    """
    if "endpoint" in metafunc.fixturenames:
        _parametrize_endpoints(metafunc)
    if "served" not in metafunc.fixturenames:
        return
    needs, lacks = marked(metafunc, "needs"), marked(metafunc, "lacks")
    routes = marked(metafunc, "routes")
    chosen = tokenizers_of(metafunc.config)
    all_served = [
        served
        for served in served_of(metafunc.config)
        if served.tokenizer.spec.can(*needs)
        and not (lacks and served.tokenizer.spec.can(*lacks))
        and all(has_route(served.engine, route) for route in routes)
        and not (served.is_packaged and metafunc.definition.get_closest_marker("own_file"))
        and (served.is_packaged or not metafunc.definition.get_closest_marker("package_file"))
    ]
    names = [name for name in metafunc.fixturenames if name in ARGUMENTS or name in _OWN]
    if not names:
        metafunc.parametrize("served", all_served, ids=[served.name for served in all_served])
        return
    rows = [(served, value) for served in all_served for value in _values(names[0], served, chosen)]
    ids = [f"{served.name}-{name_of(value)}" for served, value in rows]
    metafunc.parametrize(("served", names[0]), rows, ids=ids)


def _parametrize_endpoints(metafunc: pytest.Metafunc) -> None:
    config, tokenizers = metafunc.config, tokenizers_of(metafunc.config)
    generates = config.getoption("endpoint_generates")
    given = [
        Endpoint(tokenizers[key], url, generates)
        for key, url in config.stash[ENDPOINTS].items()
        if key in tokenizers
    ]
    metafunc.parametrize("endpoint", given, ids=[endpoint.key for endpoint in given])

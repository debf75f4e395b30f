"""A server that somebody else runs: which engine it is, and how much may be asked of it."""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import NoReturn
from urllib.parse import urlsplit

from ..data.engines import Engine, engines
from ..data.registry import registry
from ..errors import AssetError, fail
from ..redaction import withdrawn
from ..text import allowed_values, readable
from ..tokenizer.loaded import LoadedTokenizer
from .asking import Connection, value_at
from .client import Client, Limits, RequestError
from .served import Served

KEY_VARIABLE = "ENDPOINT_API_KEY"  # of the environment; its value is shown nowhere
_LIMITS = Limits(seconds=20.0, size=8 << 20, requests=1000, tries=2)


@dataclass(frozen=True)
class Endpoint:
    """A model's server at an address, beside the pinned tokenizer; asked at the first use."""

    tokenizer: LoadedTokenizer
    url: str
    generates: bool  # whether it may be asked for a token
    limits: Limits = field(default=_LIMITS)

    column = "endpoint"
    variant = ""

    @property
    def key(self) -> str:
        """The model's key in the registry."""
        return self.tokenizer.key

    @cached_property
    def served(self) -> Served:
        """The server as the engine that it is; fails the test in one sentence if it is none."""
        client = Client(self.url, self.limits, withdrawn.get(KEY_VARIABLE, ""))
        try:
            engine = recognise(client)
        except RequestError as error:
            reason = str(error)
        else:
            made = Connection(engine, client)
            return Served(
                engine, self.tokenizer, _no_file, lambda _: made, "", "endpoint", self.url
            )
        self.refuse(reason)

    def refuse(self, reason: str) -> NoReturn:
        """Fail the test for a server that cannot be asked."""
        fail(
            self.key,
            readable(f"the server at {address(self.url)} cannot be asked: {reason}"),
            cause=_cause(reason),
        )


def _no_file(_: Served) -> Path:
    raise AssertionError("the file of an endpoint is not ours")


def _cause(reason: str) -> str:
    if " 401 " in reason or " 403 " in reason:
        return f"it wants a key: set {KEY_VARIABLE}"
    if "refused" in reason or "no answer" in reason or "more than" in reason:
        return "it is down, not ready, or not a server of models"
    return ""


def address(url: str) -> str:
    """Scheme, host and port of a URL: what may be shown."""
    place = urlsplit(url)
    return f"{place.scheme}://{place.hostname}{f':{place.port}' if place.port else ''}"


def parse_endpoints(options: list[str]) -> dict[str, str]:
    """`KEY=URL` options as URLs by key; AssetError for an unknown key or what is no URL."""
    urls = {}
    for option in options:
        key, _, url = option.partition("=")
        if key not in registry():
            allowed = allowed_values(key, registry())
            raise AssetError(readable(f"--endpoint {key}: write KEY=URL; {allowed}"))
        try:
            place = urlsplit(url)
            known = place.scheme in ("http", "https") and place.hostname and place.port != 0
        except ValueError:
            known = False
        if not known:
            raise AssetError(f"--endpoint {key}: write {key}=http://HOST:PORT")
        if place.username or place.password or place.query:
            raise AssetError(
                f"--endpoint {key}: a URL is shown, so it must hold no key: set {KEY_VARIABLE}"
            )
        urls[key] = url.rstrip("/").removesuffix("/v1")
    return urls


def recognise(client: Client) -> Engine:
    """The engine that answers at the address: the first whose own route does.

    RequestError if none does.
    """
    refused = ""
    for engine in engines().values():
        route = engine.recognised_by
        status, answer = client.answer(route.path)
        if status in (401, 403):
            refused = f"{route.path} answers {status} (a key is needed)"
        if status != 200:
            continue
        try:
            value_at(answer, route.answer)
        except RequestError:
            continue
        return engine
    raise RequestError(refused or "it answers none of the routes of fixtures/engines.toml")

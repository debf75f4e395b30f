"""Access to the hub: switches, network, token and licences."""

import os
from urllib.parse import urlsplit

from ..assets import KEPT, users_own
from .check import Check
from .devices import ran

OFFLINE = "HF_HUB_OFFLINE"
LOGIN = "`hf auth login`, or set HF_TOKEN"
PROXIES = ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "HTTP_PROXY", "http_proxy")


def hub() -> list[Check]:
    """What the hub answers for each model; nothing of it is needed for the bundle."""
    kept = {name: value for name, value in users_own().items() if name != OFFLINE}
    facts, death = ran("tests.harness.doctor.hub_probe", {"HF_HUB_ETAG_TIMEOUT": "5"} | kept)
    token = facts.pop("token", False)
    if not facts:
        return [
            Check("hub", "warn", f"could not be asked: {death}", "pip install -r requirements.txt")
        ]
    kinds: dict[str, list[str]] = {}
    for key, (kind, _) in facts.items():
        kinds.setdefault(kind, []).append(key)
    found = [judged(kind, keys, facts[keys[0]][1], token) for kind, keys in kinds.items()]
    return [*switch(), *found, *([] if token else [no_token()])]


def switch() -> list[Check]:
    """A finding if the user's own switch keeps downloads from being tried."""
    value = os.environ.get(KEPT + OFFLINE, os.environ.get(OFFLINE, ""))
    if value.upper() not in ("1", "ON", "YES", "TRUE"):
        return []
    found = f"{OFFLINE}={value}: --source hub takes only what is cached"
    return [Check("hub: offline", "warn", found, f"unset {OFFLINE}")]


def no_token() -> Check:
    """What cannot be had without a token."""
    found = "no token: gated models cannot be fetched (the bundle needs none)"
    return Check("hub: token", "warn", found, LOGIN)


def judged(kind: str, keys: list[str], sentence: str, token: bool) -> Check:
    """One finding for the models that got the same kind of answer."""
    names = ", ".join(keys)
    if kind == "open":
        return Check("hub", "ok", f"can be read: {names}{' with your token' if token else ''}")
    found, _, mend = sentence.partition(": ")[2].partition("; ")
    if kind == "login" and token:
        return Check("hub: token", "bad", f"your token is refused: {names}: {found}", LOGIN)
    if kind == "network":
        return Check("hub", "warn", found + proxies(), mend)
    return Check("hub", "warn", f"{names}: {found}", mend)


def proxies() -> str:
    """Which proxy is in the way, without the password that its address may hold."""
    found = [name for name in PROXIES if os.environ.get(name)]
    if not found:
        return ""
    host = urlsplit(os.environ[found[0]]).hostname or "an address that cannot be read"
    return f", through the proxy {host} ({found[0]})"

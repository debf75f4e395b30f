"""What must not be seen, and how it is hidden in all that is printed or written.

Secret are the values of environment variables whose names say so, the logins that huggingface_hub
saved, and what looks like a hub's or GitHub's token. They are read once, at the first use.
"""

import base64
import configparser
import html
import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import cache
from itertools import takewhile
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

from tests.harness.visible import MISLEADING, escape_character, harmless, without_commands

HIDDEN = "(hidden)"
# What pytest itself sends to a terminal: colours, its progress mark, the start of the line.
PYTESTS_OWN = re.compile(rf"(\x1b\[[\d;]*m|\x1b\]9;4;[\d;]*\x1b\\|\r)|{MISLEADING.pattern}")
# `TOKENIZERS_PARALLELISM` is no such name, and where a secret lies is none.
NAMES = re.compile(
    r"(?:TOKEN|SECRET|PASSWORD|API_?KEY)S?(?:_|$)(?!(?:.*_)?(?:URL|PATH|FILE|DIR)$)",
    re.IGNORECASE,
)
SHORTEST = 8  # characters; shorter values would blank out ordinary words
# Pytest cuts long values and the equal ends of two: so long a piece of a secret is hidden, too.
PIECE = 12
SWITCHES = {"disabled", "required", "optional"}
PATTERNS = re.compile(
    r"\bhf_(?:oauth_[\w.-]{20,}|[A-Za-z0-9]{20,})"
    r"|\bgh[opsur]_[A-Za-z0-9]{20,}|\bgithub_pat_\w{20,}"
    r"|(?<=\b[Bb]earer )(?=\S*\d)[\w.~+/=-]{8,}"
    r"|(?<=://)[^/\s:@]*:[^/\s@]+(?=@)"  # of a package index, say
)
# pip and uv fetch packages during a run, from indexes that may ask for a login.
OF_INSTALLERS = ("PIP_", "UV_")
OF_THE_HUB = ("HF_", "HUGGING_FACE_")
withdrawn: dict[str, str] = {}  # variables that this process had


def is_secret(name: str, value: str) -> bool:
    """Whether a variable must not be seen: by its name, unless the value is an ordinary word."""
    plain = len(value) < SHORTEST or value.isdecimal() or value.lower() in SWITCHES
    if plain or not NAMES.search(name):
        return False
    with suppress(OSError, ValueError):  # too long for a path, or with a zero in it
        return not Path(value).exists()
    return True


def withdraw() -> None:
    """Take secret variables out of this process and of all it starts; they stay hidden.

    Linux still shows them in `/proc/PID/environ` of the process that was started with them, to its
    user: only that process's parent could have left them out. Workers of xdist and other children
    never had them.
    """
    known()
    for name, value in list(os.environ.items()):
        if is_secret(name, value) and not name.startswith(OF_INSTALLERS):
            withdrawn[name] = os.environ.pop(name)


def adopt(variables: Mapping[str, str]) -> None:
    """Know what another process withdrew, and hide it."""
    withdrawn.update(variables)
    known.cache_clear()
    all_cores.cache_clear()


def login() -> dict[str, str]:
    """The hub's variables among those withdrawn, for the one child that asks the hub."""
    return {name: value for name, value in withdrawn.items() if name.startswith(OF_THE_HUB)}


def saved_logins() -> Iterator[str]:
    """Tokens in the files of huggingface_hub: the login in force, and all others."""
    # Its own constant would be frozen by the import, and the tests must not see the files.
    kept = os.environ.get("MODEL_CONFORMANCE_HF_TOKEN_PATH", os.environ.get("HF_TOKEN_PATH"))
    caches = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    home = os.environ.get("HF_HOME", f"{caches}/huggingface")
    path = Path(os.path.expandvars(kept or f"{home}/token")).expanduser()
    with suppress(OSError):  # nobody is logged in
        # The library, too, sends a token without its line ends and outer spaces.
        yield "".join(path.read_text(encoding="utf-8", errors="replace").split())
    logins = configparser.ConfigParser(interpolation=None)
    with suppress(OSError, ValueError, configparser.Error):
        logins.read(path.with_name("stored_tokens"), encoding="utf-8")
    for name in logins.sections():
        yield from (value for key, value in logins.items(name) if NAMES.search(key))


@cache
def known() -> tuple[str, ...]:
    """Every form of every secret, longest first."""
    variables = {**os.environ, **withdrawn}
    values = {value for name, value in variables.items() if is_secret(name, value)}
    values |= {login for login in saved_logins() if len(login) >= SHORTEST}
    found = {form for value in values for form in forms(value)}
    return tuple(sorted(found, key=len, reverse=True))


def forms(secret: str) -> set[str]:
    """The secret as it is, escaped as by repr, JSON, HTML and URLs, and in base64."""
    escaped = {repr(secret)[1:-1], ascii(secret)[1:-1], html.escape(secret)}
    escaped |= {xml := html.escape(secret, quote=False), xml.replace('"', "&quot;")}
    escaped |= {json.dumps(secret, ensure_ascii=it)[1:-1] for it in (True, False)}
    found = {secret, quote(secret), quote(secret, safe=""), quote_plus(secret)} | escaped
    raw = secret.encode(errors="surrogatepass")
    for before in range(3):  # base64 depends on how many bytes stand in front, as in `user:token`
        coded = base64.b64encode(b"\0" * before + raw).decode()
        # Characters that hold bits of the neighbours as well are not the secret's.
        own = coded[-(-before * 8 // 6) : (before + len(raw)) * 8 // 6]
        found |= {own, own.replace("+", "-").replace("/", "_")}
    return {form for form in found if len(form) >= SHORTEST}


def cores(secret: str) -> dict[int, str]:
    """Parts of a secret by place: every piece of PIECE characters holds one of them whole."""
    size = (min(PIECE, len(secret)) + 1) // 2
    return {it: secret[it : it + size] for it in range(0, len(secret) - size + 1, size)}


@cache
def all_cores() -> frozenset[str]:
    """What a text must hold if there is anything to hide in it; this alone is looked for often."""
    return frozenset(core for secret in known() for core in cores(secret).values())


def without_pieces(text: str, secret: str) -> str:
    """The text without longer pieces of the secret."""
    least = min(PIECE, len(secret))
    for start, core in cores(secret).items():
        at = text.find(core)
        while at >= 0:
            first = at - alike(text[max(0, at - start) : at][::-1], secret[:start][::-1])
            last = at + alike(text[at : at + len(secret) - start], secret[start:])
            if last - first >= least:
                text = text[:first] + HIDDEN + text[last:]
                at = first + len(HIDDEN) - 1
            at = text.find(core, at + 1)
    return text


def alike(one: str, other: str) -> int:
    """How many characters two texts have in common before they part."""
    return sum(1 for _ in takewhile(lambda it: it[0] == it[1], zip(one, other, strict=False)))


def redact(text: str) -> str:
    """The text with every secret, and every longer piece of one, replaced."""
    if any(map(text.__contains__, all_cores())):
        for secret in known():  # whole ones first: forms of one secret have pieces in common
            text = text.replace(secret, HIDDEN)
        for secret in known():
            text = without_pieces(text, secret)
    return PATTERNS.sub(HIDDEN, text)


def clean(text: str) -> str:
    """Text of a test, a model or a library as it may leave the run."""
    return harmless(redact(text))


def clean_for_terminal(text: str) -> str:
    """The same for what pytest composed of clean texts: its colours stay."""
    text = PYTESTS_OWN.sub(lambda it: it[1] or escape_character(it[0]), redact(text))
    return without_commands(text)


def cleaned(value: Any) -> Any:
    """Any plain data with clean texts; of pytest's representations, the same object."""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, dict):
        return {cleaned(name): cleaned(it) for name, it in value.items()}
    if type(value) in (list, tuple):
        return type(value)(map(cleaned, value))
    if type(value).__module__.startswith("_pytest.") and hasattr(value, "__dict__"):
        vars(value).update(cleaned(vars(value)))
    return value

"""Access tokens: which they are, who gets them, and how they are redacted in all output.

Secret are the values of environment variables with telling names, the logins that huggingface_hub
saved, and what looks like a token of the hub or GitHub. They are read once, at the first use.
"""

import configparser
import html
import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

from .text import MISLEADING, escape_character, harmless, without_commands

HIDDEN = "(hidden)"
withdrawn: dict[str, str] = {}  # variables that this process, or its controller, had

# `TOKENIZERS_PARALLELISM` must not match, nor a variable that holds the path of a token's file.
_SECRET_NAME = re.compile(
    r"(?:TOKEN|SECRET|PASSWORD|API_?KEY)S?(?:_|$)(?!(?:.*_)?(?:URL|PATH|FILE|DIR)$)",
    re.IGNORECASE,
)
_SHORTEST = 8  # characters; shorter values would blank out ordinary words
_SWITCHES = {"disabled", "required", "optional"}
_TOKEN = re.compile(
    r"\bhf_(?:oauth_[\w.-]{20,}|[A-Za-z0-9]{20,})"
    r"|\bgh[opsur]_[A-Za-z0-9]{20,}|\bgithub_pat_\w{20,}"
    r"|(?<=\b[Bb]earer )(?=\S*\d)[\w.~+/=-]{8,}"
    r"|(?<=://)[^/\s:@]*:[^/\s@]+(?=@)"  # user and password of a package index, say
)
# pip and uv fetch packages during a run, from indexes that may ask for a login.
_INSTALLERS = ("PIP_", "UV_")
_HUB = ("HF_", "HUGGING_FACE_")
# What pytest itself sends to a terminal: colours, its progress mark, the start of the line.
_PYTESTS_OWN = re.compile(
    rf"(\x1b\[[\d;]*m|\x1b\]9;4;[\d;]*\x1b\\|\r)|{MISLEADING.pattern}",
)


def is_secret(name: str, value: str) -> bool:
    """Whether a variable must be hidden: by its name, unless the value is a word or a path."""
    ordinary = len(value) < _SHORTEST or value.isdecimal() or value.lower() in _SWITCHES
    if ordinary or not _SECRET_NAME.search(name):
        return False
    with suppress(OSError, ValueError):  # too long for a path, or with a zero in it
        return not Path(value).exists()
    return True


def withdraw() -> None:
    """Take secret variables out of this process and of all that it starts.

    On Linux, the user can still read them in `/proc/PID/environ` of the process that was started
    with them; only its parent could have left them out. Its children never have them.
    """
    for name, value in list(os.environ.items()):
        if is_secret(name, value) and not name.startswith(_INSTALLERS):
            withdrawn[name] = os.environ.pop(name)
    _forms.cache_clear()


def adopt(variables: Mapping[str, str]) -> None:
    """Hide what another process has withdrawn, too."""
    withdrawn.update(variables)
    _forms.cache_clear()


def login() -> dict[str, str]:
    """The hub's variables among those withdrawn, for the one child that fetches from the hub."""
    return {name: value for name, value in withdrawn.items() if name.startswith(_HUB)}


def redact(text: str) -> str:
    """The text with `(hidden)` in place of every secret, as it is or as writers escape it.

    The values are known exactly; of a secret that was cut, the piece that is left stays.
    """
    for form in _forms():
        text = text.replace(form, HIDDEN)
    return _TOKEN.sub(HIDDEN, text)


def redact_for_terminal(text: str) -> str:
    """The same for what pytest prints, harmless to a terminal; pytest's colours stay."""
    text = _PYTESTS_OWN.sub(lambda match: match[1] or escape_character(match[0]), redact(text))
    return without_commands(text)


def sanitize(value: Any) -> Any:
    """Plain data with every text redacted and harmless to a terminal and GitHub's runner.

    Pytest's representations of a failure are changed in place, other objects returned as they are.
    """
    if isinstance(value, str):
        return harmless(redact(value))
    if isinstance(value, dict):
        return {sanitize(name): sanitize(item) for name, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(map(sanitize, value))
    if hasattr(value, "toterminal"):
        vars(value).update(sanitize(vars(value)))
    return value


@cache
def _forms() -> tuple[str, ...]:
    """Every secret in every form, longest first: one may be a part of another."""
    variables = {**os.environ, **withdrawn}
    secrets = {value for name, value in variables.items() if is_secret(name, value)}
    secrets |= {token for token in _saved_logins() if len(token) >= _SHORTEST}
    forms = {form for secret in secrets for form in _escaped(secret)}
    return tuple(sorted(forms, key=len, reverse=True))


def _escaped(secret: str) -> set[str]:
    """The secret as it is, and as repr, JSON, HTML, XML and URLs escape it."""
    xml = html.escape(secret, quote=False)
    coded = {json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]}
    coded |= {repr(secret)[1:-1], ascii(secret)[1:-1]}
    coded |= {html.escape(secret), xml, xml.replace('"', "&quot;")}
    return coded | {secret, quote(secret), quote(secret, safe=""), quote_plus(secret)}


def _saved_logins() -> Iterator[str]:
    """Tokens in the files of huggingface_hub: the active login, and all others."""
    # Its own constant would be frozen by the import, and the tests must not see the files.
    path = os.environ.get("MODEL_CONFORMANCE_HF_TOKEN_PATH", os.environ.get("HF_TOKEN_PATH"))
    caches = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    home = os.environ.get("HF_HOME", f"{caches}/huggingface")
    file = Path(os.path.expandvars(path or f"{home}/token")).expanduser()
    with suppress(OSError):  # nobody is logged in
        # The library, too, sends a token without its line ends and outer spaces.
        yield "".join(file.read_text(encoding="utf-8", errors="replace").split())
    stored = configparser.ConfigParser(interpolation=None)
    with suppress(OSError, ValueError, configparser.Error):
        stored.read(file.with_name("stored_tokens"), encoding="utf-8")
    for section in stored.sections():
        yield from (value for key, value in stored.items(section) if _SECRET_NAME.search(key))

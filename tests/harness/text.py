"""Text a person can read: quoted, escaped, on one line."""

import re
from collections.abc import Iterable
from difflib import get_close_matches

import pytest

# Shown as they are; everything else is escaped. Fixed ranges, because what counts as printable
# changes with Python's Unicode tables, and combining or reordering scripts mislead the eye.
_VISIBLE = re.compile(
    "[ -~\\xa1-\\xac\\xae-\\u024f\\u0370-\\u0482\\u048a-\\u052f\\u3041-\\u3096\\u30a1-\\u30ff"
    "\\u4e00-\\u9fff\\uac00-\\ud7a3]"
)
# What moves the cursor, hides or reorders text, or cannot be written; but for line ends and tabs.
MISLEADING = re.compile(
    "[\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f\\xad\\u061c\\u180e\\u200b-\\u200f\\u2028-\\u202e\\u2060-\\u206f"
    "\\ufeff\\ufff9-\\ufffb\\ud800-\\udfff\\U000e0000-\\U000e0fff]"
)
# GitHub's runner obeys `::` at the beginning of a line, and `##[` anywhere.
_COMMAND = re.compile(r"^(\s*):(?=:)|##\[", re.MULTILINE)
_SHORT = {"\\": "\\\\", "'": "\\'", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def escape_character(character: str) -> str:
    r"""One character, visible and exact; a lone byte (surrogate-escaped) as `\xNN`."""
    if character in _SHORT:
        return _SHORT[character]
    if _VISIBLE.fullmatch(character):
        return character
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def readable(text: str) -> str:
    """A line with control, bidi and other misleading characters made visible.

    Backslashes and quotes stay: most texts that come here are escaped already.
    """
    return "".join(char if char in "\\'" else escape_character(char) for char in text)


def shortened(text: str, limit: int) -> str:
    """The text, or its beginning up to the end of a word, with `...` for the rest."""
    if len(text) <= limit:
        return text
    head = text[: limit - 4]
    return f"{head[: head.rfind(' ') if ' ' in head[limit // 2 :] else None]} ..."


def quote(text: str) -> str:
    """The text between single quotes, every character visible and exact."""
    if text.isascii() and text.isprintable() and "'" not in text and "\\" not in text:
        return f"'{text}'"
    return "'" + "".join(map(escape_character, text)) + "'"


def harmless(text: str) -> str:
    """Text that does nothing to a terminal, and gives GitHub's runner no command.

    All else stays as it is: most texts that come here are escaped already.
    """
    return without_commands(MISLEADING.sub(lambda match: escape_character(match[0]), text))


def without_commands(text: str) -> str:
    """Text that GitHub's runner shows and does not obey."""

    def escape(match: re.Match[str]) -> str:
        return "##\\u005b" if match[1] is None else f"{match[1]}\\u003a"

    return _COMMAND.sub(escape, text)


def allowed_values(name: str, names: Iterable[str]) -> str:
    """`did you mean llama3_1? allowed are ...`, without the question if nothing is near."""
    known = list(names)
    return f"{did_you_mean(name, known)}allowed are {', '.join(known)}"


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """The question alone, with a space behind it; empty if nothing is near."""
    near = get_close_matches(name.lower(), list(names), n=1)
    return f"did you mean {near[0]}? " if near else ""


def first_line(error: BaseException) -> str:
    """The first line of an exception's message, else its class; 200 characters at most."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]


def error_line(error: BaseException) -> str:
    """`ValueError: the message's first line`; raises what must end the run."""
    if isinstance(error, KeyboardInterrupt | SystemExit | pytest.exit.Exception):
        raise error
    message = first_line(error) if str(error).strip() else ""
    return f"{type(error).__name__}: {message}"

"""The JSON of a folder's files: its depth, its numbers, and names of other files, all bounded."""

import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .entries import JSON_FILES, UnfitError

_DEEPEST = 64
_NUMBER = 10_000_000  # of anything that has no line below
_LONGEST_LIST = 10_000  # of what each text is wrapped in
_LONGEST_TABLE = 100_000
# What a number may be at most, by the end of its key; the first that fits counts.
_MOST: tuple[tuple[str, float], ...] = (
    (r"padding\.strategy\.Fixed|padding\.pad_to_multiple_of", 16_384),
    (r"(^|\.|_)(max_len|model_max|max_length|truncation\.\w+)\w*$", math.inf),
    (r"(theta|factor|_base|_scale|eps|epsilon|params|flos)$", math.inf),
    (r"(max_position\w*|seq\w*|context\w*|window\w*|_positions)$", 10**9),
    (r"(^|\.)(num_beams|num_beam_groups|num_return_sequences)$", 256),
    (r"(^|\.)(num_hidden_layers|n_layers?|num_layers|n_head|num_\w*heads)$", 10_000),
    (r"(^|\.)(hidden_size|intermediate_size|head_dim|n_embd|n_inner|d_model|d_ff)$", 1_000_000),
)
_COMPILED = [(re.compile(pattern), most) for pattern, most in _MOST]
_COUNTS = re.compile(
    r"(^|\.)(num_hidden_layers|num_attention_heads|num_key_value_heads|hidden_size|"
    r"intermediate_size|head_dim|vocab_size)$"
)
_PARAMETERS = 2e12  # of the largest model that somebody could have
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
# A tokenizer's settings may name the files to read instead of those of the folder.
_OTHER_FILE = re.compile(r"(^|_)files?$|^name_or_path_file$")


def read(path: Path) -> Any:
    """A file's JSON; UnfitError if it is none, or nested too deep."""
    try:
        content = path.read_bytes()
        value = json.loads(content)
    except RecursionError:
        raise UnfitError(path.name, f"is nested more than {_DEEPEST} deep") from None
    except OSError as error:
        raise UnfitError(path.name, f"cannot be read ({error.strerror})") from None
    except ValueError as error:
        raise UnfitError(path.name, f"is not JSON ({type(error).__name__}: {error})") from None
    if not isinstance(value, dict):
        kind = "null" if value is None else type(value).__name__
        raise UnfitError(path.name, f"holds a {kind}, and must hold an object")
    if _SURROGATE.search(content):
        _check_texts(path.name, value)
    return value


def examine_content(path: Path) -> None:
    """Raise UnfitError for content that would hang, fill or mislead what reads the file."""
    value = read(path)
    for key, member in _members(path.name, value):
        _check_value(path.name, key, member)
    if path.name == "tokenizer_config.json":
        for key, member in value.items():
            _check_named_file(path.name, key, member)
        _check_ids(path.name, "added_tokens_decoder", value.get("added_tokens_decoder"))
    if path.name == "config.json":
        _check_size(value)


def examine_json(folder: Path, names: set[str]) -> None:
    """Examine the content of those of the folder's files that hold settings or a tokenizer."""
    for name in JSON_FILES:
        if name in names:
            examine_content(folder / name)


def _members(file: str, content: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Dotted key and value of everything within, without recursion; UnfitError if it is too deep.

    Vocabulary and merges, which are long, come as one number: the largest id.
    """
    waiting: list[tuple[str, Any, int]] = [("", content, 0)]
    while waiting:
        key, value, depth = waiting.pop()
        if depth > _DEEPEST:
            raise UnfitError(file, f"is nested more than {_DEEPEST} deep", _shortened(key))
        if key == "model.vocab" and isinstance(value, dict):
            ids = [number for number in value.values() if isinstance(number, int)]
            yield key, max(ids, default=0)
            if any(isinstance(number, dict | list) for number in value.values()):
                raise UnfitError(file, "must map tokens to ids", key)
        elif key == "model.merges" and isinstance(value, list):
            if not all(isinstance(merge, str) or _is_pair(merge) for merge in value):
                raise UnfitError(file, "must be a list of pairs", key)
        elif isinstance(value, dict):
            front = f"{key}." if key else ""
            waiting += [(f"{front}{name}", each, depth + 1) for name, each in value.items()]
        elif isinstance(value, list):
            yield key, value
            waiting += [(f"{key}.{i}", each, depth + 1) for i, each in enumerate(value)]
        else:
            yield key, value


def _is_pair(merge: Any) -> bool:
    return isinstance(merge, list) and len(merge) == 2 and all(isinstance(m, str) for m in merge)


def _check_value(file: str, key: str, value: Any) -> None:
    if isinstance(value, list):
        longest = _LONGEST_LIST if key.startswith("post_processor") else _LONGEST_TABLE
        if len(value) > longest and key != "model.vocab":
            what = f"has {len(value):,} entries, and at most {longest:,} are allowed"
            raise UnfitError(file, what, _shortened(key))
        return
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if file == "config.json" and _COUNTS.search(key) and value is not None:
        whole = isinstance(value, int) and not isinstance(value, bool)
        if not whole or value < 1:
            raise UnfitError(file, f"is {_shown(value)}, and must be a whole number from 1 on", key)
    # Some architectures have an infinite bound in config.json.
    if not is_number or (file == "config.json" and not math.isfinite(value)):
        return
    most = next((most for regex, most in _COMPILED if regex.search(key)), _NUMBER)
    if math.isnan(value) or abs(value) > most:
        what = f"is {_shown(value)}, and at most {most:,} is allowed"
        raise UnfitError(file, what, _shortened(key))


def _check_named_file(file: str, key: str, value: Any) -> None:
    """UnfitError if a setting makes transformers read another file than the folder's own."""
    names = value if isinstance(value, list) else [value]
    for name in names:
        if isinstance(name, str) and _OTHER_FILE.search(key) and Path(name).name != name:
            raise UnfitError(file, f"names {_shown(name)}, which is not a file of the folder", key)


def _check_ids(file: str, key: str, table: Any) -> None:
    for number in table if isinstance(table, dict) else ():
        if not (number.isdecimal() and len(number) < 9 and int(number) <= _NUMBER):
            what = f"has the id {_shown(number)}, and at most {_NUMBER:,} is allowed"
            raise UnfitError(file, what, key)


def _check_size(config: dict[str, Any]) -> None:
    """UnfitError for an architecture that nobody could hold in memory."""
    sizes = [config.get(key) or 1 for key in ("hidden_size", "num_hidden_layers", "vocab_size")]
    hidden, layers, vocabulary = sizes
    inner = config.get("intermediate_size") or 4 * hidden
    weights = 2 * vocabulary * hidden + layers * (2 * hidden**2 + 2 * hidden * inner)
    if weights > _PARAMETERS:
        what = f"make a model of {weights:.1e} weights, and at most {_PARAMETERS:.0e} are allowed"
        raise UnfitError("config.json", what, "hidden_size, num_hidden_layers, vocab_size")


def _check_texts(file: str, content: Any) -> None:
    """UnfitError for a text that no file can hold."""
    try:
        json.dumps(content, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        for key, value in _members(file, content):
            if isinstance(value, str) and not _can_be_written(value):
                what = "holds half of a surrogate pair, which is no character"
                raise UnfitError(file, what, _shortened(key)) from None
        raise UnfitError(file, "holds half of a surrogate pair, which is no character") from None


def _can_be_written(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _shown(value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}" if abs(value) < 10**30 else "a number of more than 30 digits"
    return repr(value)[:60]


def _shortened(key: str) -> str:
    return key if len(key) < 80 else f"{key[:40]}...{key[-30:]}"

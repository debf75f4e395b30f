"""The keys of a GGUF that decide which ids a text has: what a file says, and what it should."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..data.engines import EngineFile
from ..diff import first_difference
from ..examination.gguf_header import read_header
from ..text import quote
from ..tokenizer.loaded import LoadedTokenizer
from .tiny import vocabulary_metadata

_FRONT = "tokenizer.ggml."
NAME, TEMPLATE, SCORES = "general.name", "tokenizer.chat_template", f"{_FRONT}scores"
_BOS, _EOS = f"{_FRONT}add_bos_token", f"{_FRONT}add_eos_token"
_SPACE = f"{_FRONT}add_space_prefix"
# What is read of a file, the most telling first.
KEYS_THAT_DECIDE = (
    *(f"{_FRONT}{name}" for name in ("model", "pre", "tokens", "token_type", "merges", "scores")),
    *(f"{_FRONT}{name}" for name in ("bos_token_id", "eos_token_id", "padding_token_id")),
    _BOS,
    _EOS,
    _SPACE,
    TEMPLATE,
    NAME,
)
# Of a prompt's text: the template, and the tokens that it writes by name.
PROMPT_KEYS = (TEMPLATE, _BOS, f"{_FRONT}bos_token_id", f"{_FRONT}eos_token_id")
# Values of `pre` for which the engine puts BOS in front.
_ADDS_BOS = ("llama-bpe", "llama3", "llama-v3")
_NAMES_WITH_RULES = ("phi-3", "phi3")  # names for which the engine strips behind control tokens


def read_metadata(path: Path) -> dict[str, Any]:
    """The file's values of the keys that decide; a key that it lacks is left out."""
    metadata = read_header(path).metadata
    return {key: metadata[key] for key in KEYS_THAT_DECIDE if key in metadata}


def expected_metadata(tokenizer: LoadedTokenizer, facts: EngineFile) -> dict[str, Any]:
    """What a file of the pinned tokenizer says."""
    return vocabulary_metadata(tokenizer.folder, tokenizer.spec, facts)


def metadata_difference(
    key: str, found: Mapping[str, Any], expected: Mapping[str, Any], size: int
) -> str:
    """`KEY is X, pinned Y` if a key's value gives other ids; empty if it gives the same.

    `size` is that of the vocabulary: what a file has beyond only fills the embedding up.
    """
    got, pinned = _meaning(key, found, size), _meaning(key, expected, size)
    if got == pinned:
        return ""
    if key == NAME:
        got, pinned = found.get(key), expected.get(key)
    if isinstance(got, Sequence) and isinstance(pinned, Sequence) and not isinstance(got, str):
        position = first_difference(got, pinned) or 0
        sides = [str(side[position]) if position < len(side) else "" for side in (got, pinned)]
        left, right = (quote(side) if side else "missing" for side in sides)
        return f"{key} has {left} at {position}, pinned {right}"
    if isinstance(got, str) and isinstance(pinned, str) and max(len(got), len(pinned)) > 60:
        position = first_difference(got, pinned) or 0
        shown = [quote(side[position : position + 24]) for side in (got, pinned)]
        return f"{key} has {shown[0]} at character {position}, pinned {shown[1]}"
    return f"{key} is {_shown(got)}, pinned {_shown(pinned)}"


def _shown(value: Any) -> str:
    return quote(value) if isinstance(value, str) else "missing" if value is None else f"{value!r}"


def _meaning(key: str, metadata: Mapping[str, Any], size: int) -> Any:
    """What the engine takes from a key, so that files which say the same otherwise are equal."""
    value = metadata.get(key)
    kind, pre = metadata.get(f"{_FRONT}model"), metadata.get(f"{_FRONT}pre")
    if key in (f"{_FRONT}tokens", f"{_FRONT}token_type"):
        return None if value is None else list(value[:size])
    if key == SCORES and value is not None:
        return _ranked(metadata[f"{_FRONT}tokens"][:size], value[:size])
    if key == _BOS and value is None:
        return kind == "llama" or pre in _ADDS_BOS
    if key == _SPACE:
        return kind == "llama" if value is None else bool(value)
    if key == _EOS:
        return bool(value)
    if key == NAME:
        return any(name in str(value).lower() for name in _NAMES_WITH_RULES)
    return value


def _ranked(tokens: Sequence[str], scores: Sequence[float]) -> list[str]:
    """The tokens that two others make, in the order in which they are merged."""
    known = set(tokens)
    made = [
        (-score, number, token)
        for number, (token, score) in enumerate(zip(tokens, scores, strict=False))
        if any(token[:cut] in known and token[cut:] in known for cut in range(1, len(token)))
    ]
    return [token for *_, token in sorted(made)]

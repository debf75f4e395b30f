"""The tokenizer saved beside an adapter, against its base's: by what it reads, not by its bytes.

What saves an adapter writes the tokenizer anew, with other keys and another pipeline; ids, special
tokens, sides, limits and template must stay.
"""

import json
from pathlib import Path
from typing import Any

from ..data.cases import texts
from ..diff import first_difference
from ..tokenizer.tokenizer_json import TokenizerJson, tokenizer_json

_TOKENS = ("bos_token", "eos_token", "pad_token", "unk_token")
# Settings that change what is read, and what they are where a file does not say.
_SETTINGS: dict[str, Any] = {
    "add_bos_token": False,
    "add_eos_token": False,
    "padding_side": "right",
    "truncation_side": "right",
    "model_max_length": None,
}
_FLAGS = ("special", "lstrip", "rstrip", "single_word", "normalized")


def tokenizer_differences(base: Path, saved: Path) -> dict[str, str]:
    """`got ..., expected ...` by what differs; empty if no tokenizer is saved there.

    Pad = eos and padding on the right are the task's own settings, and no difference.
    """
    if not (saved / "tokenizer.json").is_file():
        return {}
    found = dict[str, str]()
    ours, own = _settings(base), _settings(saved)
    task = {"pad_token": ours["eos_token"], "padding_side": "right"}
    for name, right in ours.items():
        if own[name] not in (right, task.get(name, right)):
            found[name] = f"got {own[name]!r:.80}, expected {right!r:.80}"
    if (base / "tokenizer.json").read_bytes() != (saved / "tokenizer.json").read_bytes():
        # Not by `tokenizer_json`, which keeps what it read for the session.
        found |= _file_differences(
            tokenizer_json(base / "tokenizer.json"), TokenizerJson(saved / "tokenizer.json")
        )
    return found


def _file_differences(base: TokenizerJson, saved: TokenizerJson) -> dict[str, str]:
    found = dict[str, str]()
    mine, right = saved.vocabulary, base.vocabulary
    if mine != right:
        other = [token for token in {**right, **mine} if mine.get(token) != right.get(token)]
        first = min(other, key=lambda token: (right.get(token, mine.get(token, 0)), token))
        found["vocabulary"] = (
            f"got {mine.get(first)} for {first!r:.60}, expected {right.get(first)} "
            f"({len(other)} such tokens)"
        )
    flags, right_flags = _flags(saved), _flags(base)
    for token in right_flags:
        if token in flags and flags[token] != right_flags[token]:
            said = f"{token!r:.60} got {flags[token]}, expected {right_flags[token]}"
            found.setdefault("added tokens", said)
    for name, case in texts().items():
        got, ids = (each.tokenizer.encode(case.full_text).ids for each in (saved, base))
        if got != ids:
            at = first_difference(got, ids) or 0
            said = f"token {at} got {got[at : at + 3]}, expected {ids[at : at + 3]}"
            found[f"ids of {name}"] = said
    return found


def _flags(file: TokenizerJson) -> dict[str, list[str]]:
    tokens = file.content.get("added_tokens", [])
    return {t["content"]: [flag for flag in _FLAGS if t.get(flag)] for t in tokens}


def _settings(folder: Path) -> dict[str, Any]:
    """Special tokens, settings and template, as the folder's files say them."""
    content = _json(folder / "special_tokens_map.json") | _json(folder / "tokenizer_config.json")
    tokens = {name: content.get(name) for name in _TOKENS}
    found: dict[str, Any] = {
        name: value.get("content") if isinstance(value, dict) else value
        for name, value in tokens.items()
    }
    found |= {name: content.get(name, default) for name, default in _SETTINGS.items()}
    template = content.get("chat_template")
    if (folder / "chat_template.jinja").is_file():
        template = (folder / "chat_template.jinja").read_text(encoding="utf-8")
    return found | {"chat_template": template}


def _json(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_bytes())) if path.is_file() else {}

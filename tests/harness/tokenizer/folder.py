"""What lies in a model's folder beside its declared files and changes what libraries make of it."""

import json
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from ..examination.entries import TEMPLATES as ADDITIONAL

# Read by transformers if they are there, whatever the declared files say.
EXTRA = (
    *("generation_config.json", "added_tokens.json", "special_tokens_map.json"),
    *("chat_template.jinja", "chat_template.json", ADDITIONAL),
)
TEMPLATES = ("chat_template.jinja", "chat_template.json")
# Keys of generation_config.json that say where it is from, and nothing of generation.
_ORIGIN = ("transformers_version", "_from_model_config")


def extra_findings(folder: Path, declared: Collection[str], name: str) -> list[str]:
    """What an undeclared file or folder of EXTRA says, by file and key; empty if it adds nothing.

    A table of tokens that agrees with tokenizer.json adds nothing. `name: not JSON` for one that
    cannot be read.
    """
    path = folder / name
    if name in declared or not path.exists():
        return []
    if path.is_dir():
        return [f"{name}/{each.name} is one more template" for each in sorted(path.iterdir())]
    if name.endswith(".jinja"):
        return [f"{name} overrides tokenizer_config.json's template"]
    try:
        content = json.loads(path.read_bytes())
    except ValueError:
        return [f"{name} is not JSON"]
    if name in TEMPLATES:
        return [f"{name} overrides tokenizer_config.json's template"]
    tokens = _tokens(folder)
    return [f"{name}: {line}" for line in _lines(name, content, tokens)]


def _tokens(folder: Path) -> dict[str, int]:
    """Ids of the added tokens of tokenizer.json; those of its vocabulary where they are there."""
    content = json.loads((folder / "tokenizer.json").read_bytes())
    vocabulary: dict[str, int] = content["model"]["vocab"]
    return vocabulary | {token["content"]: token["id"] for token in content["added_tokens"]}


def _lines(name: str, content: dict[str, Any], tokens: dict[str, int]) -> Iterator[str]:
    if name == "generation_config.json":
        for key, value in content.items():
            if key not in _ORIGIN:
                yield f"{key} = {value!r:.60} is declared nowhere"
    elif name == "added_tokens.json":
        for name_, index in content.items():
            if tokens.get(name_) != index:
                yield f"{name_!r} = {index}, tokenizer.json has {tokens.get(name_)}"
    else:
        for key, value in content.items():
            for one in value if isinstance(value, list) else [value]:
                token: Any = one.get("content") if isinstance(one, dict) else one
                if token not in tokens:
                    yield f"{key} = {token!r:.60}, which tokenizer.json does not have"


def null_keys(folder: Path, name: str, declared: dict[str, Any]) -> list[str]:
    """Keys of a JSON file that are null and not declared so: readers take them for given."""
    content = json.loads((folder / name).read_bytes())
    return [
        f"{name}: {key} = null, declared {declared.get(key, 'nowhere')!r:.60}"
        for key, value in content.items()
        if value is None and declared.get(key, "") is not None
    ]


def named_templates(folder: Path) -> str:
    """The names of the templates of tokenizer_config.json, if it has a list of them, else empty."""
    template = json.loads((folder / "tokenizer_config.json").read_bytes()).get("chat_template")
    if not isinstance(template, list):
        return ""
    names = (one.get("name", "?") if isinstance(one, dict) else "?" for one in template)
    return ", ".join(map(str, names)) or "none"

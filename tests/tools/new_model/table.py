"""What a folder says of its model: the registry's table and the recipe, as far as can be seen."""

import json
import re
from pathlib import Path
from typing import Any

from tests.harness.cache import sha256, sha256_text
from tests.harness.cases import read_json
from tests.harness.prices.products import MARKER
from tests.harness.prices.replies import single_token_numbers
from tests.harness.recipes import FLAGS, decoder_entry
from tests.harness.tokenizer_file import File

from .template_format import framing, rendering, takes_system

FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "config.json",
    "generation_config.json",
)


def table(folder: Path, tokenizer: Any) -> dict[str, Any]:
    """The model's table for `fixtures/models.toml`; `tokenizer` is what AutoTokenizer loads."""
    settings = read_json(folder / "tokenizer_config.json")
    architecture = {name: it for name, it in read_json(folder / "config.json").items() if full(it)}
    numbers = [len(single_token_numbers(tokenizer, prefix)) for prefix in ("", MARKER)]
    render = rendering(tokenizer)
    facts = {
        "capabilities": capabilities(tokenizer, numbers),
        **(framing(render) if tokenizer.chat_template else {}),
        "single_token_numbers": numbers,
        "tokenizer": tokenizer_facts(tokenizer, File(folder / "tokenizer.json"), settings),
        "files": {name: pin(folder / name) for name in FILES if (folder / name).is_file()},
        "architecture": architecture,
    }
    return facts


def full(value: Any) -> bool:
    """Whether TOML can say the value: it has no null."""
    if isinstance(value, dict | list):
        return all(map(full, value.values() if isinstance(value, dict) else value))
    return value is not None


def capabilities(tokenizer: Any, numbers: list[int]) -> list[str]:
    """What the model can be asked, by what its tokenizer does; `tools` cannot be seen."""
    bos = tokenizer.bos_token_id
    found = ["bos"] if bos is not None and tokenizer.encode("a")[:1] == [bos] else []
    if tokenizer.chat_template:
        found += ["chat", "system"] if takes_system(rendering(tokenizer)) else ["chat"]
    if found[:1] == ["bos"] and numbers == [1000, 1000]:
        found.append("single_token_prices")
    return found


def tokenizer_facts(tokenizer: Any, file: File, settings: dict[str, Any]) -> dict[str, Any]:
    """The table of the tokenizer; ids that are None, and what is at its default, are left out."""
    side, template = tokenizer.truncation_side, tokenizer.chat_template
    ids = {name: getattr(tokenizer, f"{name}_token_id") for name in ("bos", "eos", "pad", "unk")}
    facts = {
        "json_class": settings.get("tokenizer_class", type(tokenizer).__name__),
        "vocabulary_size": len(tokenizer),
        "vocabulary_sha256": file.vocabulary_sha256,
        "merges": len(file.merges),
        "merges_sha256": sha256_text("".join([f"{merge}\n" for merge in file.merges])),
        "model_max_length": tokenizer.model_max_length,
        "padding_side": tokenizer.padding_side,
        "truncation_side": side if side != "right" else None,
        "clean_up": tokenizer.clean_up_tokenization_spaces,
        **ids,
        "template_sha256": sha256_text(template) if template else None,
    }
    return {name: value for name, value in facts.items() if value is not None}


def pin(path: Path) -> dict[str, Any]:
    """A file as it is here: nobody published its hash, as far as is known."""
    return {"sha256": sha256(path), "bytes": path.stat().st_size, "published": False}


def recipe(folder: Path) -> dict[str, Any]:
    """The content of `fixtures/recipes/KEY.json`, without a package to build from."""
    contents = {name: read_json(folder / name) for name in FILES if (folder / name).is_file()}
    tokens = contents["tokenizer.json"]["added_tokens"]
    contents["tokenizer.json"]["added_tokens"] = "@added_tokens"
    contents["tokenizer.json"]["model"] |= {"vocab": "@vocabulary", "merges": "@merges"}
    settings = contents["tokenizer_config.json"]
    if settings.get("chat_template"):
        settings["chat_template"] = "@template"
    if settings.get("added_tokens_decoder") == {str(it["id"]): decoder_entry(it) for it in tokens}:
        settings["added_tokens_decoder"] = "@added_tokens_decoder"
    contents["config.json"] = "@architecture"
    rows = [
        {"id": it["id"], "content": it["content"], "flags": [flag for flag in FLAGS if it[flag]]}
        for it in tokens
    ]
    return {"added_tokens": rows, "files": {name: {"content": it} for name, it in contents.items()}}


def name(key: str) -> str:
    """A key as TOML writes it: bare where it can be."""
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else toml(key)


def toml(value: Any) -> str:
    """A value as TOML writes it on one line; it must hold no null."""
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{name(key)} = {toml(it)}' for key, it in value.items())} }}"
    if isinstance(value, list):
        return f"[{', '.join(map(toml, value))}]"
    if isinstance(value, float):
        return repr(value)
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")

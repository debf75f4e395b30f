"""The registry's table and the recipe of a model, as far as its folder shows them."""

from pathlib import Path
from typing import Any

import tomlkit

from tests.harness.data.recipes import FLAGS
from tests.harness.data.schema import read_json
from tests.harness.files import sha256, sha256_text
from tests.harness.prices.products import MARKER
from tests.harness.prices.replies import single_token_numbers
from tests.harness.sources.bundle import decoder_entry
from tests.harness.tokenizer.tokenizer_json import TokenizerJson

from .template_format import detect_format, renderer, renders_system

FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "config.json",
    "generation_config.json",
)
REVIEW = "review: drafted from a folder; it shows what the files contain, not what is right"
NO_FORMAT = (
    "turn, generation_prompt: rendering did not show them; write how the template frames a",
    "message, with {role} and {content}, and what add_generation_prompt appends",
)


def draft_table(folder: Path, tokenizer: Any) -> dict[str, Any]:
    """The fields of `Model` for a folder; `tokenizer` is what AutoTokenizer loads from it."""
    settings = read_json(folder / "tokenizer_config.json")
    config = read_json(folder / "config.json")
    number_counts = [len(single_token_numbers(tokenizer, prefix)) for prefix in ("", MARKER)]
    return {
        "capabilities": _capabilities(tokenizer, number_counts),
        **(detect_format(renderer(tokenizer)) if tokenizer.chat_template else {}),
        "single_token_numbers": number_counts,
        "tokenizer": _tokenizer_facts(
            tokenizer, TokenizerJson(folder / "tokenizer.json"), settings
        ),
        "files": {
            path.name: {"sha256": sha256(path), "bytes": path.stat().st_size, "published": False}
            for path in map(folder.joinpath, FILES)
            if path.is_file()
        },
        "architecture": {name: value for name, value in config.items() if not _has_null(value)},
    }


def _has_null(value: Any) -> bool:
    """Whether there is a null in the value, which TOML cannot express."""
    if isinstance(value, dict | list):
        return any(map(_has_null, value.values() if isinstance(value, dict) else value))
    return value is None


def _capabilities(tokenizer: Any, number_counts: list[int]) -> list[str]:
    """What the model can do according to its tokenizer; `tools` cannot be detected."""
    bos = tokenizer.bos_token_id
    capabilities = ["bos"] if bos is not None and tokenizer.encode("a")[:1] == [bos] else []
    if tokenizer.chat_template:
        capabilities += ["chat", "system"] if renders_system(renderer(tokenizer)) else ["chat"]
    if capabilities[:1] == ["bos"] and number_counts == [1000, 1000]:
        capabilities.append("single_token_prices")
    return capabilities


def _tokenizer_facts(
    tokenizer: Any, file: TokenizerJson, settings: dict[str, Any]
) -> dict[str, Any]:
    """The fields of `TokenizerFacts`, without ids that are None and settings at their default."""
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


def draft_recipe(folder: Path) -> dict[str, Any]:
    """The content of `fixtures/recipes/KEY.json`, without a package to build from."""
    contents = {name: read_json(folder / name) for name in FILES if (folder / name).is_file()}
    tokens = contents["tokenizer.json"]["added_tokens"]
    contents["tokenizer.json"]["added_tokens"] = "@added_tokens"
    contents["tokenizer.json"]["model"] |= {"vocab": "@vocabulary", "merges": "@merges"}
    settings = contents["tokenizer_config.json"]
    if settings.get("chat_template"):
        settings["chat_template"] = "@template"
    if settings.get("added_tokens_decoder") == {str(t["id"]): decoder_entry(t) for t in tokens}:
        settings["added_tokens_decoder"] = "@added_tokens_decoder"
    contents["config.json"] = "@architecture"
    rows = [
        {"id": t["id"], "content": t["content"], "flags": [flag for flag in FLAGS if t[flag]]}
        for t in tokens
    ]
    files = {name: {"content": content} for name, content in contents.items()}
    return {"added_tokens": rows, "files": files}


def to_toml(key: str, facts: dict[str, Any]) -> str:
    """The model's table as `fixtures/models.toml` has it; `facts` must hold no null."""
    table = tomlkit.table()
    for name, value in facts.items():
        if not isinstance(value, dict):
            table.add(name, _toml_item(value))
    if "chat" in facts["capabilities"] and "turn" not in facts:
        for line in NO_FORMAT:
            table.add(tomlkit.comment(line))
    for part in ("tokenizer", "files", "architecture"):
        fields = tomlkit.table()
        for name, value in facts[part].items():
            fields.add(name, _toml_item(value))
        table.add(tomlkit.nl())
        table.add(part, fields)
    document = tomlkit.document()
    document.add(tomlkit.comment(REVIEW))
    document.add(key, table)
    return tomlkit.dumps(document)


def _toml_item(value: Any) -> Any:
    """The value on one line, the keys of its objects in their order."""
    if isinstance(value, dict):
        inline = tomlkit.inline_table()
        for name, member in value.items():
            inline.add(name, _toml_item(member))
        return inline
    if isinstance(value, list):
        array = tomlkit.array()
        array.extend(map(_toml_item, value))
        return array
    return tomlkit.item(value)

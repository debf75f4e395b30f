"""The registry's table and the recipe of a model, as far as its files show them."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import time_machine
import tomlkit

from tests.harness.data.recipes import FLAGS, read_recipe
from tests.harness.data.registry import Capability, Functions, Model
from tests.harness.data.schema import read_json
from tests.harness.files import sha256, sha256_text
from tests.harness.prices.products import MARKER
from tests.harness.prices.replies import single_token_numbers
from tests.harness.sources.bundle import decoder_entry
from tests.harness.tokenizer.chat import FIXED_DAY
from tests.harness.tokenizer.folder import template_texts
from tests.harness.tokenizer.tokenizer_json import TokenizerJson

from .framing import frame_facts
from .functions import function_facts
from .template_format import renderer, renders_system

FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
    "special_tokens_map.json",
    "config.json",
    "generation_config.json",
)
REVIEW = "review: drafted from a folder; it shows what the files contain, not what is right"
_SPECIAL = ("bos", "eos", "pad", "unk")


def draft_table(folder: Path, tokenizer: Any) -> dict[str, Any]:
    """The fields of `Model` for a folder; `tokenizer` is what AutoTokenizer loads from it."""
    file, config = TokenizerJson(folder / "tokenizer.json"), read_json(folder / "config.json")
    number_counts = [len(single_token_numbers(tokenizer, prefix)) for prefix in ("", MARKER)]
    facts = _tokenizer_facts(tokenizer, file, folder)
    on_functions, functions = _functions(tokenizer, folder)
    return {
        "capabilities": _capabilities(tokenizer, file, facts, number_counts, on_functions),
        "single_token_numbers": number_counts,
        **(frame_facts(tokenizer) if tokenizer.chat_template else {}),
        **({"functions": asdict(functions)} if functions else {}),
        "tokenizer": facts,
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


def _functions(tokenizer: Any, folder: Path) -> tuple[list[Capability], Functions | None]:
    """What the template can do with functions, and how it writes them, by its text alone."""
    texts = template_texts(folder)
    template = texts.get("chat_template.jinja", texts.get("tokenizer_config.json"))
    if template is None:
        return [], None
    with time_machine.travel(FIXED_DAY, tick=False):
        return function_facts(template, tokenizer.special_tokens_map)


def _capabilities(
    tokenizer: Any,
    file: TokenizerJson,
    facts: dict[str, Any],
    number_counts: list[int],
    on_functions: list[Capability],
) -> list[str]:
    """What the model can do according to its files."""
    bos = facts.get("bos")
    capabilities = []
    if bos is not None and file.tokenizer.encode("a").ids[:1] == [bos]:
        capabilities.append("bos")
    if tokenizer.chat_template:
        capabilities += ["chat", "system"] if renders_system(renderer(tokenizer)) else ["chat"]
        capabilities += on_functions
    if capabilities[:1] == ["bos"] and number_counts == [1000, 1000]:
        capabilities.append("single_token_prices")
    return capabilities


def _tokenizer_facts(tokenizer: Any, file: TokenizerJson, folder: Path) -> dict[str, Any]:
    """The fields of `TokenizerFacts` by the files; what these leave to a class, as it has it.

    Without ids that are None and settings at their default.
    """
    settings, texts = read_json(folder / "tokenizer_config.json"), template_texts(folder)
    place = "chat_template.jinja" if "chat_template.jinja" in texts else "tokenizer_config.json"
    template = texts.get(place)
    facts = {
        "json_class": settings.get("tokenizer_class", type(tokenizer).__name__),
        "vocabulary_size": len(file.vocabulary),
        "vocabulary_sha256": file.vocabulary_sha256,
        "merges": len(file.merges),
        "merges_sha256": sha256_text("".join([f"{merge}\n" for merge in file.merges])),
        "model_max_length": settings.get("model_max_length", tokenizer.model_max_length),
        "padding_side": settings.get("padding_side", tokenizer.padding_side),
        "truncation_side": _unless(
            settings.get("truncation_side", tokenizer.truncation_side), "right"
        ),
        "clean_up": settings.get(
            "clean_up_tokenization_spaces", tokenizer.clean_up_tokenization_spaces
        ),
        **{name: _special_id(name, tokenizer, file, folder, settings) for name in _SPECIAL},
        **_around(file),
        "template_sha256": sha256_text(template) if template else None,
        "template_place": _unless(place, "tokenizer_config.json") if template else None,
    }
    return {name: value for name, value in facts.items() if value is not None}


def _around(file: TokenizerJson) -> dict[str, Any]:
    """The ids that the file puts around texts, where BOS in front of each does not say them."""
    first, second = (file.tokenizer.encode(x, add_special_tokens=False).ids for x in ("a", "b"))
    one, two = file.tokenizer.encode("a").ids, file.tokenizer.encode("a", "b").ids
    at = next((i for i in range(len(one)) if one[i : i + len(first)] == first), 0)
    front, behind = one[:at], one[at + len(first) :]
    between = two[at + len(first) : len(two) - len(behind) - len(second)]
    if not behind and len(front) < 2 and between == front:
        return {}
    return {"front": front, "behind": behind, "between": between}


def _unless(value: str, usual: str) -> str | None:
    return None if value == usual else value


def _special_id(
    name: str, tokenizer: Any, file: TokenizerJson, folder: Path, settings: dict[str, Any]
) -> int | None:
    """The id of a special token by the files; by the class where they say nothing of it."""
    table = folder / "special_tokens_map.json"
    said = settings | (read_json(table) if table.is_file() else {})
    key = f"{name}_token"
    if key not in said:
        value: int | None = getattr(tokenizer, f"{key}_id")
        return value
    token = said[key].get("content") if isinstance(said[key], dict) else said[key]
    return file.vocabulary.get(token)


def over_base(facts: dict[str, Any], base: Model) -> dict[str, Any]:
    """What a fine-tune's table must hold: that which differs from its base's, and its own files."""
    known = json.loads(json.dumps(_as_table(base)))
    drafted, left_out = dict(facts), []
    for part in ("tokenizer", "architecture"):
        prefix = "tokenizer." if part == "tokenizer" else ""
        own, of_base = facts[part], known[part]
        left_out += [f"{prefix}{name}" for name in of_base if name not in own]
        # As text: config.json says 1000000 or 1000000.0, and it is built as it is.
        same = {k for k, v in of_base.items() if k in own and json.dumps(own[k]) == json.dumps(v)}
        drafted[part] = {k: v for k, v in own.items() if k not in same}
    same_template = facts["tokenizer"].get("template_sha256") == base.tokenizer.template_sha256
    for name in set(drafted) - {"tokenizer", "architecture", "files"}:
        # Another template inherits no frames: what it writes as its base's does is drafted, too.
        same = same_template if name in _OF_TEMPLATE else drafted[name] == known.get(name)
        if same:
            del drafted[name]
    head = {"based_on": base.key} | ({"left_out": left_out} if left_out else {})
    return head | drafted


_OF_TEMPLATE = (
    *("capabilities", "turn", "edges", "trims", "generation_prompt", "conversation_end"),
    *("default_system", "trims_content", "unframed", "follows_clock", "switches", "functions"),
)


def _as_table(model: Model) -> dict[str, Any]:
    tokenizer = {k: v for k, v in vars(model.tokenizer).items() if v is not None}
    for name, usual in (("truncation_side", "right"), ("template_place", FILES[1]), ("behind", ())):
        if tokenizer[name] == usual:
            del tokenizer[name]
    return {**asdict(model), "tokenizer": tokenizer, "files": {}, "weights": {}}


def draft_recipe(folder: Path, base: str = "") -> dict[str, Any]:
    """The content of `fixtures/recipes/KEY.json`, without a package to build from.

    Of a fine-tune what differs from its base's recipe.
    """
    names = [name for name in FILES if (folder / name).is_file()]
    contents: dict[str, Any] = {
        name: "@template" if name.endswith(".jinja") else read_json(folder / name) for name in names
    }
    tokens = contents["tokenizer.json"]["added_tokens"]
    contents["tokenizer.json"]["added_tokens"] = "@added_tokens"
    model = contents["tokenizer.json"]["model"]
    model |= {"vocab": "@vocabulary"} | ({"merges": "@merges"} if "merges" in model else {})
    settings = contents["tokenizer_config.json"]
    if settings.get("chat_template"):
        settings["chat_template"] = "@template"
    if settings.get("added_tokens_decoder") == {str(t["id"]): decoder_entry(t) for t in tokens}:
        settings["added_tokens_decoder"] = "@added_tokens_decoder"
    contents["config.json"] = "@architecture"
    rows = [_row(token) for token in tokens]
    files = {name: {"content": content} for name, content in contents.items()}
    if not base:
        return {"added_tokens": rows, "files": files}
    recipe = read_recipe(base)
    known = {token["id"]: token for token in recipe.tokens()}
    same = {n: file.content for n, file in recipe.files.items()}
    files = {n: file for n, file in files.items() if same.get(n) != file["content"]}
    drafted: dict[str, Any] = {"extends": base, "files": files}
    if set(known) - {token["id"] for token in tokens}:
        return drafted | {"added_tokens": rows}
    changed = [_row(token) for token in tokens if known.get(token["id"]) != token]
    return drafted | ({"changed_tokens": changed} if changed else {})


def _row(token: dict[str, Any]) -> dict[str, Any]:
    flags = [flag for flag in FLAGS if token[flag]]
    return {"id": token["id"], "content": token["content"], "flags": flags}


def to_toml(key: str, facts: dict[str, Any]) -> str:
    """The model's table as `fixtures/models.toml` has it; `facts` must hold no null."""
    table = tomlkit.table()
    parts = ("edges", "trims", "switches", "functions", "tokenizer", "files", "architecture")
    for name, value in facts.items():
        if name not in parts:
            table.add(name, _toml_item(value))
    for part in parts:
        if not facts.get(part):
            continue
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

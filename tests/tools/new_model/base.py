"""The model that a folder's is a fine-tune of, and what the folder has otherwise."""

from pathlib import Path
from typing import Any

from tests.harness.data.recipes import read_recipe
from tests.harness.data.registry import Model, registry
from tests.harness.data.schema import read_json
from tests.harness.errors import AssetError
from tests.harness.sources.adapter_folder import ADAPTER, base_of_adapter
from tests.harness.sources.folders import unavailable_reason
from tests.harness.text import allowed_values
from tests.harness.tokenizer.tokenizer_json import file_pipeline

_SHAPE = ("model_type", "hidden_size", "num_hidden_layers", "num_attention_heads")


def find_base(key: str, folder: Path, facts: dict[str, Any], given: str | None) -> Model | None:
    """The base that is given, that adapter_config.json names, or whose merges and shape these are.

    Drafts are no bases unless given: another fine-tune of the same base would be the nearest. None
    if there is none; AssetError for a key that cannot be one.
    """
    others = registry().keys() - {key}
    if given is not None:
        if given not in others:
            raise AssetError(f"--based-on {given}: {allowed_values(given, sorted(others))}")
        return registry()[given]
    if (folder / ADAPTER).is_file():
        return base_of_adapter(folder)
    tokens = {
        token["id"]: token["content"]
        for token in read_json(folder / "tokenizer.json")["added_tokens"]
    }
    models = (model for model in registry().values() if not unavailable_reason(model, "bundle"))
    alike = [m for m in models if _is_alike(m, facts) and _has_tokens_of(m, tokens)]
    return min(alike, key=lambda model: _distance(model, facts), default=None)


def _is_alike(model: Model, facts: dict[str, Any]) -> bool:
    """The same merges, in a model of the same shape."""
    own, known = facts["architecture"], model.architecture
    merges = facts["tokenizer"]["merges"]
    return (
        merges > 0
        and facts["tokenizer"]["merges_sha256"] == model.tokenizer.merges_sha256
        and all(own.get(name) == known.get(name) for name in _SHAPE)
    )


def _has_tokens_of(model: Model, tokens: dict[int, str]) -> bool:
    """Whether none of the base's special tokens has another name: texts would read otherwise."""
    own = {model.tokenizer.bos, model.tokenizer.eos}
    known = {t["id"]: t["content"] for t in read_recipe(model.key).tokens() if t["id"] in own}
    return all(tokens.get(index) == content for index, content in known.items())


def _distance(model: Model, facts: dict[str, Any]) -> tuple[bool, int]:
    """How much of a base's facts are others."""
    own, known = facts["tokenizer"], vars(model.tokenizer)
    other_template = own.get("template_sha256") != model.tokenizer.template_sha256
    return other_template, sum(own.get(name) != value for name, value in known.items())


def differences(base: Model, facts: dict[str, Any], recipe: dict[str, Any]) -> list[str]:
    """What a fine-tune has otherwise than its base, a line for each."""
    own, known = facts["tokenizer"], vars(base.tokenizer)
    skipped = ("vocabulary_sha256", "vocabulary_size", "merges_sha256", "template_sha256")
    lines = [
        f"{name}: {known.get(name)!r} -> {own.get(name)!r}"
        for name in sorted(set(own) | {name for name, value in known.items() if value is not None})
        if name not in skipped and own.get(name, _usual(name)) != known.get(name)
    ]
    tokens = recipe.get("changed_tokens", recipe.get("added_tokens", []))
    old = {token["id"]: token["content"] for token in read_recipe(base.key).tokens()}
    for token in tokens:
        if old.get(token["id"]) != token["content"]:
            before = f"{old[token['id']]!r} -> " if token["id"] in old else "added "
            lines.append(f"token {token['id']}: {before}{token['content']!r}")
    same_size = own.get("vocabulary_size") == known["vocabulary_size"]
    if same_size and own.get("vocabulary_sha256") != known["vocabulary_sha256"]:
        lines.append("vocabulary: as many tokens, but others, or with other ids")
    if own.get("template_sha256") != known["template_sha256"]:
        lines.append("chat template: another text")
    for name in _pipeline_changes(recipe, base.key):
        lines.append(f"tokenizer.json: another {name}")
    changed = [k for k, v in facts["architecture"].items() if base.architecture.get(k) != v]
    changed += [name for name in base.architecture if name not in facts["architecture"]]
    if changed:
        lines.append(f"config.json: {', '.join(changed)}")
    return lines


def _usual(name: str) -> Any:
    usual = {"truncation_side": "right", "template_place": "tokenizer_config.json", "behind": ()}
    return usual.get(name)


def _pipeline_changes(recipe: dict[str, Any], base: str) -> list[str]:
    own = recipe["files"].get("tokenizer.json")
    known = read_recipe(base).files["tokenizer.json"].content
    if own is None or not isinstance(known, dict):
        return []
    parts = file_pipeline(own["content"])
    return [part for part, value in file_pipeline(known).items() if parts[part] != value]

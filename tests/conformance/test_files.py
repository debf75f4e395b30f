"""The model's files, and what loading them makes of them."""

import json
from typing import Any

import pytest

from tests.harness.cache import sha256, sha256_text
from tests.harness.diagnosis import check_value, fail, pinned_file
from tests.harness.loading import Loaded
from tests.harness.recipes import FLAGS, read_recipe
from tests.harness.tokenizer_file import PARTS, file_pipeline, pipeline
from tests.harness.tokens import parting
from tests.harness.visible import quote

PIPELINE = (*PARTS, "model")
REGISTRY = "fixtures/models.toml"
SMALL = ("generation_config.json", "special_tokens_map.json", "tokenizer_config.json")


def test_files_are_the_pinned_ones(model: Loaded) -> None:
    for name in model.changed_files:
        path, pinned = model.folder / name, model.model.files[name].sha256
        found = sha256(path) if path.is_file() else "(no such file)"
        fail(
            f"{model.key}: {name} is not the pinned file: sha256 {found[:12]}, pinned "
            f"{pinned[:12]}; the other tests say what the change does",
        )


def recipe_of(model: Loaded) -> str:
    """The recipe's place in the project."""
    return f"fixtures/recipes/{model.key}.json"


def cause_of_tokens(model: Loaded, got: str, declared: str) -> str:
    """Both digests, and which of file and registry is to be looked at."""
    digest = sha256(model.folder / "tokenizer.json")
    is_pinned = digest == model.model.files["tokenizer.json"].sha256
    return f"sha256 {got[:12]}, declared {declared[:12]}; likely cause: " + (
        f"tokenizer.json is the pinned file: {REGISTRY} says otherwise"
        if is_pinned
        else "tokenizer.json is not the pinned file"
    )


def test_vocabulary_is_the_declared_one(model: Loaded) -> None:
    facts, digest = model.model.tokenizer, model.file.vocabulary_sha256
    if digest == facts.vocabulary_sha256:
        return
    tokens = {index: token for token, index in model.file.vocabulary.items()}
    headline = f"{model.key}: vocabulary: {len(tokens)} tokens, declared {facts.vocabulary_size}"
    if pinned := pinned_file(model, "tokenizer.json"):
        content = json.loads(pinned)
        known = {index: token for token, index in content["model"]["vocab"].items()}
        known |= {token["id"]: token["content"] for token in content["added_tokens"]}
        moved = [i for i in sorted(known | tokens) if known.get(i) != tokens.get(i)]
        for first in moved[:1]:
            headline = (
                f"{model.key}: vocabulary: id {first} got {quote(str(tokens.get(first)))}, pinned "
                f"{quote(str(known.get(first)))}; {len(moved)} ids moved"
            )
    fail(f"{headline}; {cause_of_tokens(model, digest, facts.vocabulary_sha256)}")


def test_loaded_vocabulary_is_the_files(model: Loaded) -> None:
    got, expected = model.auto.get_vocab(), model.file.vocabulary
    if got != expected:
        token = sorted(set(got.items()) ^ set(expected.items()), key=lambda entry: entry[1])[0][0]
        fail(
            f"{model.key}: loaded vocabulary: {quote(token)} got id {got.get(token)}, the file "
            f"says {expected.get(token)}; likely cause: transformers changed tokens while loading"
        )


def test_merges_are_the_declared_ones(model: Loaded) -> None:
    merges, facts = model.file.merges, model.model.tokenizer
    digest = sha256_text("\n".join([*merges, ""]))
    if digest == facts.merges_sha256:
        return
    headline = f"{model.key}: merges: {len(merges)}, declared {facts.merges}"
    if pinned := pinned_file(model, "tokenizer.json"):
        known = json.loads(pinned)["model"]["merges"]
        rank = parting(merges, known)
        if rank is not None:
            got = quote(merges[rank]) if rank < len(merges) else "(end)"
            headline += f"; rank {rank} got {got}, pinned {quote([*known, '(end)'][rank])}"
    fail(f"{headline}; {cause_of_tokens(model, digest, facts.merges_sha256)}")


@pytest.mark.parametrize("part", [*PIPELINE, "truncation", "padding"])
def test_file_pipeline_is_the_declared_one(model: Loaded, part: str) -> None:
    content = read_recipe(model.key).files["tokenizer.json"].content
    assert isinstance(content, dict)
    got, declared = (it | file_pipeline(it) for it in (model.file.content, content))
    what, place = f"{part} in tokenizer.json", recipe_of(model)
    check_value(model, what, got.get(part), declared.get(part), declared=place)


@pytest.mark.parametrize("part", PIPELINE)
def test_loaded_pipeline_is_the_files(model: Loaded, part: str) -> None:
    got = pipeline(model.auto.backend_tokenizer)[part]
    expected = file_pipeline(model.file.content)[part]
    note = f"likely cause: {type(model.auto).__name__} builds its own {part}"
    check_value(model, f"loaded {part} is not the file's", got, expected, note)


def declared_added_tokens(key: str) -> dict[int, dict[str, Any]]:
    """Id to content and flags, as the recipe says."""
    return {token.id: token.as_json() for token in read_recipe(key).tokens()}


def test_files_added_tokens_are_the_declared_ones(model: Loaded) -> None:
    declared = declared_added_tokens(model.key)
    got = {token["id"]: token for token in model.file.content["added_tokens"]}
    for index in sorted(declared | got):
        what = f"added token {index} in tokenizer.json"
        place = recipe_of(model)
        check_value(model, what, got.get(index), declared.get(index), declared=place)


def test_loaded_added_tokens_are_the_declared_ones(model: Loaded) -> None:
    declared = declared_added_tokens(model.key)
    got = {
        index: {"id": index, "content": token.content} | {f: getattr(token, f) for f in FLAGS}
        for index, token in model.auto.added_tokens_decoder.items()
    }
    for index in sorted(declared | got):
        what, place = f"loaded added token {index}", recipe_of(model)
        check_value(model, what, got.get(index), declared.get(index), declared=place)


@pytest.mark.parametrize("name", ["bos", "eos", "pad", "unk"])
def test_special_id_is_the_declared_one(model: Loaded, name: str) -> None:
    got = getattr(model.auto, f"{name}_token_id")
    expected = getattr(model.model.tokenizer, name)
    check_value(model, f"{name}_token_id", got, expected, declared=REGISTRY)


@pytest.mark.parametrize(
    ("name", "fact"),
    [
        ("vocab size", "vocabulary_size"),
        ("model_max_length", "model_max_length"),
        ("padding_side", "padding_side"),
        ("truncation_side", "truncation_side"),
        ("clean_up_tokenization_spaces", "clean_up"),
    ],
)
def test_setting_is_the_declared_one(model: Loaded, name: str, fact: str) -> None:
    got = len(model.auto) if fact == "vocabulary_size" else getattr(model.auto, name)
    check_value(model, name, got, getattr(model.model.tokenizer, fact), declared=REGISTRY)


def content_of(model: Loaded, name: str) -> dict[str, Any]:
    """A JSON file of the model's folder; fails the test if it is not there."""
    path = model.folder / name
    if not path.is_file():
        fail(f"{model.key}: {name} is missing; likely cause: a copy of the folder left it out")
    content: dict[str, Any] = json.loads(path.read_bytes())
    return content


def test_tokenizer_class_is_the_declared_one(model: Loaded) -> None:
    got = content_of(model, "tokenizer_config.json").get("tokenizer_class")
    check_value(model, "tokenizer_class", got, model.model.tokenizer.json_class, declared=REGISTRY)


def test_config_is_the_declared_one(model: Loaded) -> None:
    """Of a file whose hash was not published, the hub's may hold further keys."""
    got, declared = content_of(model, "config.json"), model.model.architecture
    names = got | declared if model.model.files["config.json"].published else declared
    for name in names:
        what = f"config.json: {name}"
        check_value(model, what, got.get(name), declared.get(name), declared=REGISTRY)


def declared_small_files(model: Loaded) -> list[str]:
    """The small files a model has; from the hub only those whose content was published."""
    pins = {name: model.model.files[name] for name in SMALL if name in model.model.files}
    return [name for name, pin in pins.items() if pin.published or model.source != "hub"]


def test_small_file_is_the_declared_one(model: Loaded, small_file: str) -> None:
    """Every key but the template and the added tokens, which have tests of their own."""
    name, content = small_file, read_recipe(model.key).files[small_file].content
    assert isinstance(content, dict)
    elsewhere = {key for key, value in content.items() if str(value).startswith("@")}
    got = content_of(model, name)
    for key in [key for key in content | got if key not in elsewhere]:
        what, place = f"{name}: {key}", recipe_of(model)
        check_value(model, what, got.get(key), content.get(key), declared=place)


@pytest.mark.parametrize("name", ["chat_template.jinja", "chat_template.json"])
def test_no_file_overrides_the_template(model: Loaded, name: str) -> None:
    if (model.folder / name).exists():
        fail(
            f"{model.key}: {name} stands in the folder and overrides tokenizer_config.json's "
            "template; likely cause: the folder was saved by another version of transformers"
        )


@pytest.mark.needs("chat")
def test_template_is_the_declared_one(model: Loaded) -> None:
    digest = sha256_text(model.auto.chat_template or "")
    expected = model.model.tokenizer.template_sha256
    check_value(model, "chat template's sha256", digest, expected, declared=REGISTRY)

"""The model's files, and the tokenizer that loading makes of them."""

import json
from typing import Any

import pytest

from tests.harness.checks.tokenizer import check_value, pinned_file
from tests.harness.data.recipes import FLAGS, read_recipe
from tests.harness.diff import first_difference
from tests.harness.errors import fail
from tests.harness.files import sha256, sha256_text
from tests.harness.text import quote
from tests.harness.tokenizer.folder import (
    EXTRA,
    TEMPLATES,
    TOPICS,
    disagreements,
    extra_findings,
    named_templates,
    null_keys,
    template_texts,
)
from tests.harness.tokenizer.loaded import LoadedTokenizer
from tests.harness.tokenizer.tokenizer_json import PARTS, file_pipeline, pipeline

PIPELINE = (*PARTS, "model")
REGISTRY = "fixtures/models.toml"


def test_files_match_pinned_hashes(tokenizer: LoadedTokenizer) -> None:
    for name in tokenizer.changed_files:
        path, pinned = tokenizer.folder / name, tokenizer.spec.files[name].sha256
        digest = sha256(path)[:12] if path.is_file() else "(no such file)"
        fail(
            tokenizer.key,
            f"{name} is not the pinned file: sha256 {digest}, pinned {pinned[:12]}; "
            "the other tests say what the change does",
        )


def recipe_of(tokenizer: LoadedTokenizer) -> str:
    """The path of the model's recipe in the project."""
    return f"fixtures/recipes/{tokenizer.key}.json"


def _fail_digest(tokenizer: LoadedTokenizer, what: str, digest: str, declared: str) -> None:
    """Fail with both digests, and with which of file and registry is wrong."""
    cause = "tokenizer.json is not the pinned file"
    pinned = tokenizer.spec.files["tokenizer.json"].sha256
    if sha256(tokenizer.folder / "tokenizer.json") == pinned:
        cause = f"tokenizer.json is the pinned file: {REGISTRY} says otherwise"
    digests = f"sha256 {digest[:12]}, declared {declared[:12]}"
    fail(tokenizer.key, f"{what}; {digests}", cause=cause)


def test_vocabulary_matches_registry(tokenizer: LoadedTokenizer) -> None:
    declared, digest = tokenizer.spec.tokenizer, tokenizer.json_file.vocabulary_sha256
    if digest == declared.vocabulary_sha256:
        return
    tokens = {index: token for token, index in tokenizer.json_file.vocabulary.items()}
    what = f"{len(tokens)} tokens, declared {declared.vocabulary_size}"
    if pinned := pinned_file(tokenizer, "tokenizer.json"):
        content = json.loads(pinned)
        known = {index: token for token, index in content["model"]["vocab"].items()}
        known |= {token["id"]: token["content"] for token in content["added_tokens"]}
        moved = [i for i in sorted(known | tokens) if known.get(i) != tokens.get(i)]
        for first in moved[:1]:
            what = (
                f"id {first} got {quote(str(tokens.get(first)))}, pinned "
                f"{quote(str(known.get(first)))}; {len(moved)} ids moved"
            )
    _fail_digest(tokenizer, f"vocabulary: {what}", digest, declared.vocabulary_sha256)


def test_loaded_vocabulary_matches_tokenizer_json(tokenizer: LoadedTokenizer) -> None:
    got, expected = tokenizer.transformers.get_vocab(), tokenizer.json_file.vocabulary
    if got != expected:
        token = sorted(set(got.items()) ^ set(expected.items()), key=lambda entry: entry[1])[0][0]
        fail(
            tokenizer.key,
            f"loaded vocabulary: {quote(token)} got id {got.get(token)}, the file says "
            f"{expected.get(token)}",
            cause="transformers changed tokens while loading",
        )


def test_merges_match_registry(tokenizer: LoadedTokenizer) -> None:
    merges, declared = tokenizer.json_file.merges, tokenizer.spec.tokenizer
    digest = sha256_text("\n".join([*merges, ""]))
    if digest == declared.merges_sha256:
        return
    what = f"{len(merges)}, declared {declared.merges}"
    if pinned := pinned_file(tokenizer, "tokenizer.json"):
        known = json.loads(pinned)["model"]["merges"]
        rank = first_difference(merges, known)
        if rank is not None:
            got = quote(merges[rank]) if rank < len(merges) else "(end)"
            what += f"; rank {rank} got {got}, pinned {quote([*known, '(end)'][rank])}"
    _fail_digest(tokenizer, f"merges: {what}", digest, declared.merges_sha256)


@pytest.mark.parametrize("part", [*PIPELINE, "truncation", "padding"])
def test_file_pipeline_matches_recipe(tokenizer: LoadedTokenizer, part: str) -> None:
    content = read_recipe(tokenizer.key).files["tokenizer.json"].content
    assert isinstance(content, dict)
    loaded = tokenizer.json_file.content
    got, expected = ((parts | file_pipeline(parts)).get(part) for parts in (loaded, content))
    what = f"{part} in tokenizer.json"
    check_value(tokenizer, what, got, expected, declared=recipe_of(tokenizer))


@pytest.mark.parametrize("part", PIPELINE)
def test_loaded_pipeline_matches_tokenizer_json(tokenizer: LoadedTokenizer, part: str) -> None:
    got = pipeline(tokenizer.transformers.backend_tokenizer)[part]
    expected = file_pipeline(tokenizer.json_file.content)[part]
    cause = f"{type(tokenizer.transformers).__name__} builds its own {part}"
    check_value(tokenizer, f"loaded {part} is not the file's", got, expected, cause)


def _check_by_key(
    tokenizer: LoadedTokenizer, what: str, got: dict[Any, Any], recipe: dict[Any, Any]
) -> None:
    for key in sorted(recipe | got):
        declared = recipe_of(tokenizer)
        check_value(tokenizer, what.format(key), got.get(key), recipe.get(key), declared=declared)


def declared_added_tokens(key: str) -> dict[int, dict[str, Any]]:
    """Id to content and flags, from the recipe."""
    return {token["id"]: token for token in read_recipe(key).tokens()}


def test_file_added_tokens_match_recipe(tokenizer: LoadedTokenizer) -> None:
    declared = declared_added_tokens(tokenizer.key)
    got = {token["id"]: token for token in tokenizer.json_file.content["added_tokens"]}
    _check_by_key(tokenizer, "added token {} in tokenizer.json", got, declared)


def test_loaded_added_tokens_match_recipe(tokenizer: LoadedTokenizer) -> None:
    declared = declared_added_tokens(tokenizer.key)
    got = {
        index: {"id": index, "content": token.content} | {f: getattr(token, f) for f in FLAGS}
        for index, token in tokenizer.transformers.added_tokens_decoder.items()
    }
    _check_by_key(tokenizer, "loaded added token {}", got, declared)


@pytest.mark.parametrize("name", ["bos", "eos", "pad", "unk"])
def test_special_id_matches_registry(tokenizer: LoadedTokenizer, name: str) -> None:
    got = getattr(tokenizer.transformers, f"{name}_token_id")
    expected = getattr(tokenizer.spec.tokenizer, name)
    check_value(tokenizer, f"{name}_token_id", got, expected, declared=REGISTRY)


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
def test_setting_matches_registry(tokenizer: LoadedTokenizer, name: str, fact: str) -> None:
    loaded = tokenizer.transformers
    got = len(loaded) if fact == "vocabulary_size" else getattr(loaded, name)
    check_value(tokenizer, name, got, getattr(tokenizer.spec.tokenizer, fact), declared=REGISTRY)


def content_of(tokenizer: LoadedTokenizer, name: str) -> dict[str, Any]:
    """A JSON file of the model's folder; fails the test if it is not there."""
    path = tokenizer.folder / name
    if not path.is_file():
        fail(tokenizer.key, f"{name} is missing", cause="a copy of the folder left it out")
    content: dict[str, Any] = json.loads(path.read_bytes())
    return content


def test_tokenizer_class_matches_registry(tokenizer: LoadedTokenizer) -> None:
    got = content_of(tokenizer, "tokenizer_config.json").get("tokenizer_class")
    expected = tokenizer.spec.tokenizer.json_class
    check_value(tokenizer, "tokenizer_class", got, expected, declared=REGISTRY)


def test_config_matches_registry(tokenizer: LoadedTokenizer) -> None:
    """A hub's config.json whose hash was not published may hold further keys."""
    got, declared = content_of(tokenizer, "config.json"), tokenizer.spec.architecture
    names = got | declared if tokenizer.spec.files["config.json"].published else declared
    for name in names:
        what = f"config.json: {name}"
        check_value(tokenizer, what, got.get(name), declared.get(name), declared=REGISTRY)


def test_small_file_matches_recipe(tokenizer: LoadedTokenizer, small_file: str) -> None:
    """Every key but the template and the added tokens, which other tests compare."""
    content = read_recipe(tokenizer.key).files[small_file].content
    assert isinstance(content, dict)
    elsewhere = {key for key, value in content.items() if str(value).startswith("@")}
    got, recipe = (
        {key: value for key, value in values.items() if key not in elsewhere}
        for values in (content_of(tokenizer, small_file), content)
    )
    _check_by_key(tokenizer, f"{small_file}: {{}}", got, recipe)


@pytest.mark.parametrize("name", ["chat_template.jinja", "chat_template.json"])
def test_no_file_overrides_the_template(tokenizer: LoadedTokenizer, name: str) -> None:
    """Unless that is the template's declared place."""
    if (tokenizer.folder / name).exists() and name not in tokenizer.spec.files:
        fail(
            tokenizer.key,
            f"{name} is in the folder and overrides tokenizer_config.json's template",
            cause="the folder was saved by another version of transformers",
        )


@pytest.mark.needs("chat")
def test_template_stands_in_its_place(tokenizer: LoadedTokenizer) -> None:
    """In the declared file, and in no other one a different text."""
    texts = template_texts(tokenizer.folder)
    place = tokenizer.spec.tokenizer.template_place
    what = f"template in {', '.join(sorted(texts)) or 'no file'}, declared in {place}"
    if place not in texts:
        fail(tokenizer.key, what, cause="another version of transformers saved the folder")
    if len(set(texts.values())) > 1:
        fail(tokenizer.key, f"{what}: they differ", cause="a tool changed one of them alone")


def test_folder_adds_nothing_undeclared(tokenizer: LoadedTokenizer) -> None:
    """What libraries read if it is there, though nobody declared it."""
    folder, declared = tokenizer.folder, tokenizer.spec.files
    for name in EXTRA:
        if name not in TEMPLATES and (found := extra_findings(folder, declared, name)):
            cause = f"{name} came into the folder with a copy, a download or save_pretrained"
            fail(tokenizer.key, found[0], *found[1:10], cause=cause)


def test_no_key_is_null(tokenizer: LoadedTokenizer, small_file: str) -> None:
    """Unless the recipe has it so: a null is not the same as no key."""
    content = read_recipe(tokenizer.key).files[small_file].content
    assert isinstance(content, dict)
    content_of(tokenizer, small_file)
    if found := null_keys(tokenizer.folder, small_file, content):
        fail(tokenizer.key, found[0], *found[1:10], cause="a tool wrote out what it did not know")


def test_template_is_one(tokenizer: LoadedTokenizer) -> None:
    """A list of named templates renders by the name that a call, or its tools, choose."""
    if names := named_templates(tokenizer.folder):
        fail(
            tokenizer.key,
            f"tokenizer_config.json: chat_template is a list of named templates: {names}",
            cause="the folder is another model's, or was saved with several",
        )


@pytest.mark.parametrize("topic", TOPICS)
def test_files_agree(tokenizer: LoadedTokenizer, topic: str) -> None:
    """No declaration makes two files right that contradict each other."""
    if found := disagreements(tokenizer.folder, topic):
        cause = "a tool changed one of the files alone"
        fail(tokenizer.key, found[0], *found[1:10], cause=cause)


@pytest.mark.needs("chat")
def test_template_matches_registry(tokenizer: LoadedTokenizer) -> None:
    template = tokenizer.transformers.chat_template
    digest = sha256_text(template if isinstance(template, str) else json.dumps(template))
    expected = tokenizer.spec.tokenizer.template_sha256
    check_value(tokenizer, "chat template's sha256", digest, expected, declared=REGISTRY)

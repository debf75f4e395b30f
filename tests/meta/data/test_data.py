"""Data: sane as it is, and every kind of bad data is one line that names the place."""

import ast
import json
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.harness.data.cases import (
    ChatCase,
    TextCase,
    conversations,
    published,
    read_topic,
    read_topics,
    texts,
)
from tests.harness.data.recipes import RECIPES, read_recipe
from tests.harness.data.registry import read_registry, registry
from tests.harness.data.upstream_issues import read_upstream_issues
from tests.harness.errors import DataError
from tests.harness.files import FIXTURES
from tests.meta.conftest import PROJECT, run_pytest

CASES: dict[str, TextCase | ChatCase] = {**texts(), **conversations()}


SNAPSHOTS = PROJECT / "tests" / "conformance" / "__snapshots__"


REQUIREMENT = re.compile(r"([a-z0-9-]+)==(\d+(?:\.\d+)+) --hash=sha256:[0-9a-f]{64}")


def twice(values: list[str]) -> list[str]:
    """The values that occur more than once."""
    return [value for value, count in Counter(values).items() if count > 1]


def requirements() -> list[str]:
    """The lines of the bundle's requirements that are no comments."""
    lines = (FIXTURES / "bundle-requirements.txt").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def test_ids_are_unique_over_all_topics() -> None:
    assert twice([case.id for case in CASES.values()]) == []


def test_no_text_stands_twice() -> None:
    assert twice([text.full_text for text in texts().values()]) == []


def test_every_comment_is_a_sentence_of_its_own() -> None:
    comments = [case.comment for case in CASES.values()]
    assert twice(comments) == []
    assert [it for it in comments if not it.endswith(".") or not it[0].isupper()] == []


def test_cases_are_many() -> None:
    assert len(texts()) >= 90
    assert len(conversations()) >= 28


def test_models_named_by_the_data_are_in_the_registry() -> None:
    named = {output.model for output in published()}
    named |= {key for text in texts().values() for it in text.declared for key in it.models}
    named |= {key for chat in conversations().values() for key in chat.raises}
    assert named - set(registry()) == set()


def test_declared_texts_are_needed() -> None:
    """A declared text that is the text itself excuses nothing and reads as if it did."""
    idle = [
        text.name for text in texts().values() for it in text.declared if it.text == text.full_text
    ]
    assert idle == []


def test_a_model_has_one_declared_text_a_kind() -> None:
    """Of two only the first would count."""
    assert (
        twice(
            [
                f"{text.name} {declared.kind} {key}"
                for text in texts().values()
                for declared in text.declared
                for key in declared.models
            ]
        )
        == []
    )


def test_published_outputs_are_of_known_cases() -> None:
    ids = [output.id for output in published()]
    assert twice(ids) == []
    for output in published():
        assert (output.ids is None) != (output.prompt is None), output.id
        assert output.case in (texts() if output.prompt is None else conversations()), output.id


def test_chat_models_refuse_only_what_they_could_render() -> None:
    """`raises` for a model without the needed capabilities would never be tested."""
    idle = [
        (chat.name, key)
        for chat in conversations().values()
        for key in chat.raises
        if not registry()[key].can("chat", *chat.needs)
    ]
    assert idle == []


def test_every_model_has_its_recipe_and_no_other_exists() -> None:
    assert {path.name for path in RECIPES.iterdir()} == {f"{key}.json" for key in registry()}
    for key, model in registry().items():
        assert set(read_recipe(key).files) == set(model.files), key


def test_every_model_has_its_recordings_and_no_other_exists() -> None:
    chats = [key for key, model in registry().items() if model.can("chat")]
    expected = {f"{key}.ids.txt" for key in registry()} | {f"{key}.prompts.txt" for key in chats}
    assert {path.name for path in SNAPSHOTS.iterdir()} == expected


def test_known_failures_name_existing_tests_and_packages() -> None:
    trees = [ast.parse(path.read_text("utf-8")) for path in PROJECT.glob("tests/*/test_*.py")]
    functions = {
        it.name for tree in trees for it in ast.walk(tree) if isinstance(it, ast.FunctionDef)
    }
    named = {node.partition("[")[0] for it in read_upstream_issues() for node in it.nodes}
    assert named - functions == set()
    installed = (PROJECT / "requirements.txt").read_text(encoding="utf-8")
    for known in read_upstream_issues():
        assert f"\n{known.package}==" in installed, known.id


def test_bundle_requirements_are_exact_and_hashed() -> None:
    assert [line for line in requirements() if not REQUIREMENT.fullmatch(line)] == []


def test_bundle_requirements_are_those_of_the_recipes() -> None:
    recipes = [read_recipe(key) for key in registry()]
    origins = [it for recipe in recipes for it in (recipe.vocabulary, recipe.template) if it]
    packages = [line.partition("==")[0].replace("-", "_") for line in requirements()]
    assert twice(packages) == []
    assert set(packages) == {origin.package for origin in origins}


def good(**changes: Any) -> dict[str, Any]:
    """A sound topic of one case, with some of the case's keys changed."""
    case = {"id": "one", "text": "a", "comment": "A case to be spoiled."}
    return {"topic": "words", "about": "One case.", "cases": [{**case, **changes}]}


DECLARED = {"models": ["phi3"], "kind": "decode", "text": "b", "why": "To be spoiled."}


# What the file holds (bytes, or what becomes JSON) -> how the message goes on behind its name.
BAD_TOPICS: dict[str, tuple[Any, str]] = {
    "wrong_type": (good(text=1), "[one] text: "),
    "wrong_type_of_an_option": (good(repeat="2"), "[one] repeat: "),
    "unknown_field": (
        good(commment="Misspelt."),
        "commment: unknown key; did you mean comment?",
    ),
    "needed_field_misspelt": (
        {**good(), "cases": [{"id": "one", "text": "a", "coment": "To be spoiled."}]},
        "[one] coment: unknown key; did you mean comment?",
    ),
    "declared_for_an_unknown_model": (
        good(declared=[{**DECLARED, "models": ["phi"]}]),
        "[one] declared.0.models.0: unknown model phi: did you mean phi3? ",
    ),
    "no_slug": (good(id="One Two"), "[One Two] id: "),
    "short_comment": (good(comment="why not"), "[one] comment: "),
    "declared_kind": (good(declared=[{**DECLARED, "kind": "all"}]), "[one] declared.0.kind: "),
    "declared_field": (good(declared=[{**DECLARED, "id": "x"}]), "[one] declared.0.id: unknown"),
    "id_twice": (good() | {"cases": good()["cases"] * 2}, "[one] id: appears twice"),
    "case_is_no_object": (good() | {"cases": ["a"]}, "cases: expected an object, got 'a'"),
    "cases_are_no_list": (good() | {"cases": 5}, "cases: expected a list, got 5"),
    "no_cases": (good() | {"cases": []}, "topic must be 'words' and cases not empty"),
    "another_topic": (good() | {"topic": "word"}, "topic must be 'words'"),
    "no_about": ({"topic": "words", "cases": []}, "keys must be topic, about, cases"),
    "no_object": (good()["cases"], "keys must be topic, about, cases"),
    "no_json": (b'{"topic": "words",}', "Expecting property name"),
    "key_twice": (b'{"topic": "words", "topic": "words", "about": "", "cases": []}', "'topic'"),
    "no_utf_8": (b'{"topic": "\xff"}', "'utf-8' codec"),
}


BAD_CHATS: dict[str, tuple[dict[str, Any], str]] = {
    "unknown_need": ({"needs": ["bos"]}, "needs.0: "),
    "message_is_no_object": ({"messages": ["Hi"]}, "messages.0: "),
    "prompt_option_is_no_bool": ({"add_generation_prompt": 1}, "add_generation_prompt: "),
    "raises_is_no_list": ({"raises": "phi3"}, "raises: "),
    "raises_of_an_unknown_model": (
        {"raises": ["qwen"]},
        "raises.0: unknown model qwen: did you mean qwen2? ",
    ),
    "key_of_a_message_misspelt": (
        {"messages": [{"role": "user", "contnt": "Hi"}]},
        "messages.0: unknown key contnt: did you mean content? ",
    ),
    "message_without_role": ({"messages": [{"content": "Hi"}]}, "messages.0: needs role"),
    "message_without_content": ({"messages": [{"role": "user"}]}, "messages.0: needs role, and "),
}


PHI3 = "[phi3]\nhub_id = "


PHI3_CAPABILITIES = 'capabilities = ["chat", "system"]\nturn = "<|{role}'


# What is put in place of what in the registry -> how the message goes on behind its name.
BAD_REGISTRIES = {
    "short_hash": (('sha256 = "072ab', 'sha256 = "72ab'), "[phi3] files.tokenizer.json.sha256: "),
    "hash_in_capitals": (('"072ab', '"072AB'), "[phi3] files.tokenizer.json.sha256: "),
    "branch_for_revision": (
        ("0a67737cc96d2554230f90338b163bc6380a2a85", "main"),
        "[phi3] revision: ",
    ),
    "wrong_type": (("bytes = 1937869", 'bytes = "1937869"'), "[phi3] files.tokenizer.json.bytes: "),
    "unknown_key": ((PHI3, "[phi3]\nname = 'x'\nhub_id = "), "[phi3] name: unknown key"),
    "missing_key": (
        (PHI3_CAPABILITIES, f"# {PHI3_CAPABILITIES}"),
        "[phi3] capabilities: Field required",
    ),
    "needed_key_misspelt": (
        (PHI3_CAPABILITIES, PHI3_CAPABILITIES.replace("capabilities", "capabilites")),
        "[phi3] capabilites: unknown key; did you mean capabilities?",
    ),
    "chat_without_turn": (
        ('turn = "<|{role}|>', '# turn = "<|{role}|>'),
        "[phi3] chat needs turn and generation_prompt",
    ),
    "chat_without_generation_prompt": (
        ('generation_prompt = "<|assistant|>', '# = "<|assistant|>'),
        "[phi3] chat needs turn and generation_prompt",
    ),
    "file_left_out": (
        ('"tokenizer.json" = { sha256 = "072ab', '# "072ab'),
        "[phi3] files: tokenizer.json is missing",
    ),
    "unknown_capability": (('["chat", "system"]', '["chats"]'), "[phi3] capabilities.0: "),
    "revision_of_nothing": (
        ('hub_id = "microsoft/', '# "'),
        "[phi3] a revision needs its hub_id",
    ),
    "table_twice": ((PHI3, f"[smollm2]\n{PHI3}"), "Cannot declare"),
    "no_toml": ((PHI3, "[phi3\nhub_id = "), "Expected ']'"),
    "no_table": (("[llama3_1]\n", "phi4 = 1\n[llama3_1]\n"), "[phi4] "),
}


BAD_RECIPES = {
    "unknown_key": (
        ('"vocabulary": {', '"vocab": 1, "vocabulary": {'),
        "[phi3] vocab: unknown key",
    ),
    "wrong_type": (('"size": 32000', '"size": "32000"'), "[phi3] vocabulary.size: "),
    "needed_key_misspelt": (
        ('"added_tokens":', '"added_tokns":'),
        "[phi3] added_tokns: unknown key; did you mean added_tokens?",
    ),
    "flags_misspelt": (
        ('"flags"', '"flag"'),
        "[phi3] added_tokens.0.flag: unknown key; did you mean flags?",
    ),
    "unknown_flag": (('"rstrip"', '"rstrp"'), "[phi3] added_tokens.2.flags.0: "),
    "marker_misspelt": (
        ('"@merges"', '"@mergs"'),
        "[phi3] files.tokenizer.json.content: unknown marker @mergs: did you mean @merges? ",
    ),
    "file_misspelt": (
        ('"tokenizer.json": {', '"tokeniser.json": {'),
        "[phi3] files: tokeniser.json is missing in the table of fixtures/models.toml",
    ),
    "no_json": (('"vocabulary"', "vocabulary"), "Expecting property name"),
    "extends_nothing": (
        ('"vocabulary": {', '"extends": "phi4", "vocabulary": {'),
        "[phi3] extends: ",
    ),
}


def check_refusal(read: Callable[[], object], place: str, said: str) -> None:
    """Reading fails with one line that starts with the place."""
    with pytest.raises(DataError) as caught:
        read()
    message = str(caught.value)
    assert message.startswith(f"{place}: ")
    assert said in message
    assert "\n" not in message


def spoil(source: Path, folder: Path, change: tuple[str, str]) -> Path:
    """A copy of a data file with one thing replaced, in a folder of the same name."""
    text = source.read_text(encoding="utf-8")
    assert change[0] in text
    path = folder / source.parent.name / source.name
    path.parent.mkdir(parents=True)
    path.write_text(text.replace(*change, 1), encoding="utf-8")
    return path


@pytest.mark.parametrize("name", BAD_TOPICS)
def test_bad_topic_is_refused(tmp_path: Path, name: str) -> None:
    content, said = BAD_TOPICS[name]
    path = tmp_path / "texts" / "words.json"
    path.parent.mkdir()
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    check_refusal(lambda: read_topic(path, TextCase), "texts/words.json", said)


@pytest.mark.parametrize("name", BAD_CHATS)
def test_bad_conversation_is_refused(tmp_path: Path, name: str) -> None:
    changes, said = BAD_CHATS[name]
    case = {"id": "one", "comment": "To be spoiled.", "messages": [], "add_generation_prompt": True}
    path = tmp_path / "conversations" / "words.json"
    path.parent.mkdir()
    path.write_text(json.dumps({**good(), "cases": [{**case, **changes}]}))
    check_refusal(lambda: read_topic(path, ChatCase), "conversations/words.json", f"[one] {said}")


@pytest.mark.parametrize("name", BAD_REGISTRIES)
def test_bad_registry_is_refused(tmp_path: Path, name: str) -> None:
    change, said = BAD_REGISTRIES[name]
    path = spoil(FIXTURES / "models.toml", tmp_path, change)
    check_refusal(lambda: read_registry(path), "fixtures/models.toml", said)


@pytest.mark.parametrize("name", BAD_RECIPES)
def test_bad_recipe_is_refused(tmp_path: Path, name: str) -> None:
    change, said = BAD_RECIPES[name]
    path = spoil(RECIPES / "phi3.json", tmp_path, change)
    check_refusal(lambda: read_recipe("phi3", path.parent), "recipes/phi3.json", said)


def test_folder_without_topics_is_refused(tmp_path: Path) -> None:
    check_refusal(
        lambda: read_topics(tmp_path / "texts", TextCase), "texts/", "there is no topic file"
    )


STOPS = {
    "texts/plain.json": ('"id": "empty"', '"id": "single_letter"'),
    "models.toml": ('"072ab', '"72ab'),
    "published.json": ('"id"', '"idd"'),
    "recipes/phi3.json": ('"size": 32000', '"size": "32000"'),
}


@pytest.mark.parametrize("file", STOPS)
def test_bad_data_stops_pytest_with_one_line(project: Path, file: str) -> None:
    path = project / "fixtures" / file
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace(*STOPS[file], 1), encoding="utf-8")
    run = run_pytest("-q", "--collect-only", cwd=project)
    assert run.code == 4
    (line,) = filter(None, run.out.splitlines())
    assert line.startswith(f"ERROR: {path.parent.name}/{path.name}: [")

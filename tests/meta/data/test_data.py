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
from tests.harness.data.exceptions import refuses
from tests.harness.data.recipes import RECIPES, read_recipe
from tests.harness.data.registry import read_registry, registry
from tests.harness.data.upstream_issues import read_upstream_issues
from tests.harness.errors import DataError
from tests.harness.files import FIXTURES
from tests.harness.tokenizer.frames import can_be_framed
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


def test_no_text_appears_twice() -> None:
    assert twice([text.full_text for text in texts().values()]) == []


def test_every_comment_is_a_sentence_of_its_own() -> None:
    comments = [case.comment for case in CASES.values()]
    assert twice(comments) == []
    assert [text for text in comments if not text.endswith(".") or not text[0].isupper()] == []


def test_cases_are_many() -> None:
    assert len(texts()) >= 90
    assert len(conversations()) >= 28


def test_declared_texts_are_needed() -> None:
    """A declared text that is the text itself excuses nothing and reads as if it did."""
    for text in texts().values():
        assert text.full_text not in [declared.text for declared in text.declared], text.name


def test_a_model_has_one_declared_text_a_kind() -> None:
    """Of two only the first would count."""
    rows = [
        f"{text.name} {declared.kind} {key}"
        for text in texts().values()
        for declared in text.declared
        for key in declared.models
    ]
    assert twice(rows) == []


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


def test_every_model_has_its_snapshots_and_no_other_exists() -> None:
    chats = [key for key, model in registry().items() if model.can("chat")]
    expected = {f"{key}.ids.txt" for key in registry()} | {f"{key}.prompts.txt" for key in chats}
    there = {path.name for path in SNAPSHOTS.iterdir()}
    based = {f"{key}.ids.txt" for key, model in registry().items() if model.bases}
    assert expected - based <= there <= expected  # a fine-tune's may be its base's


def test_known_failures_name_existing_tests_and_packages() -> None:
    trees = [ast.parse(path.read_text("utf-8")) for path in PROJECT.glob("tests/*/test_*.py")]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    functions = {node.name for node in nodes if isinstance(node, ast.FunctionDef)}
    named = {node.partition("[")[0] for issue in read_upstream_issues() for node in issue.nodes}
    assert named - functions == set()
    installed = (PROJECT / "requirements.txt").read_text(encoding="utf-8")
    for known in read_upstream_issues():
        assert f"\n{known.package}==" in installed, known.id


def test_bundle_requirements_are_exact_and_hashed() -> None:
    assert [line for line in requirements() if not REQUIREMENT.fullmatch(line)] == []


def test_bundle_requirements_are_those_of_the_recipes() -> None:
    recipes = [read_recipe(key) for key in registry()]
    origins = [file for recipe in recipes for file in (recipe.vocabulary, recipe.template) if file]
    packages = [line.partition("==")[0].replace("-", "_") for line in requirements()]
    assert twice(packages) == []
    assert set(packages) == {origin.package for origin in origins}


DECLARED = {"models": ["phi3"], "kind": "decode", "text": "b", "why": "To be spoiled."}
TEXT = {"id": "one", "text": "a", "comment": "A case to be spoiled."}
CHAT = {"id": "one", "comment": "To be spoiled.", "messages": [], "add_generation_prompt": True}
TOPIC = {"topic": "words", "about": "One case.", "cases": [TEXT]}
# Changed keys of a case -> how the message goes on behind the file's name and the case's id.
BAD_TEXTS: dict[str, tuple[dict[str, Any], str]] = {
    "wrong_type": ({"text": 1}, "text: "),
    "needed_field_misspelt": (
        {"comment": ..., "coment": "To be spoiled."},
        "coment: unknown key; did you mean comment?",
    ),
    "declared_for_an_unknown_model": (
        {"declared": [{**DECLARED, "models": ["phi"]}]},
        "declared.0.models.0: unknown model phi: did you mean phi3? ",
    ),
    "no_slug": ({"id": "One Two"}, "id: "),
    "short_comment": ({"comment": "why not"}, "comment: "),
    "declared_kind": ({"declared": [{**DECLARED, "kind": "all"}]}, "declared.0.kind: "),
}
BAD_CHATS: dict[str, tuple[dict[str, Any], str]] = {
    "unknown_need": ({"needs": ["bos"]}, "needs.0: "),
    "message_is_no_object": ({"messages": ["Hi"]}, "messages.0: "),
    "raises_of_an_unknown_model": (
        {"raises": ["qwn2"]},
        "raises.0: unknown model qwn2: did you mean qwen2? ",
    ),
    "key_of_a_message_misspelt": (
        {"messages": [{"role": "user", "contnt": "Hi"}]},
        "messages.0: unknown key contnt: did you mean content? ",
    ),
    "message_without_role": ({"messages": [{"content": "Hi"}]}, "messages.0: needs role"),
    "message_without_content": ({"messages": [{"role": "user"}]}, "messages.0: needs role, and "),
}
# The file's bytes, or changed keys of its topic -> how the message goes on behind its name.
BAD_TOPICS: dict[str, tuple[Any, str]] = {
    "id_twice": ({"cases": [TEXT, TEXT]}, "[one] id: appears twice"),
    "case_is_no_object": ({"cases": ["a"]}, "cases: expected an object, got 'a'"),
    "cases_are_no_list": ({"cases": 5}, "cases: expected a list, got 5"),
    "no_cases": ({"cases": []}, "topic must be 'words' and cases not empty"),
    "another_topic": ({"topic": "word"}, "topic must be 'words'"),
    "no_about": (b'{"topic": "words", "cases": []}', "keys must be topic, about, cases"),
    "no_object": (json.dumps([TEXT]).encode(), "keys must be topic, about, cases"),
    "no_json": (b'{"topic": "words",}', "Expecting property name"),
    "key_twice": (b'{"topic": "words", "topic": "words", "about": "", "cases": []}', "'topic'"),
    "no_utf_8": (b'{"topic": "\xff"}', "'utf-8' codec"),
}
CAPABILITIES = 'capabilities = ["chat", "system"]\nturn = "<|{role}'
# What is put in place of what in the registry -> how the message goes on behind its name.
BAD_REGISTRIES = {
    "short_hash": (('sha256 = "072ab', 'sha256 = "72ab'), "[phi3] files.tokenizer.json.sha256: "),
    "branch_for_revision": (
        ("0a67737cc96d2554230f90338b163bc6380a2a85", "main"),
        "[phi3] revision: ",
    ),
    "wrong_type": (("bytes = 1937869", 'bytes = "1937869"'), "[phi3] files.tokenizer.json.bytes: "),
    "missing_key": ((CAPABILITIES, f"# {CAPABILITIES}"), "[phi3] capabilities: Field required"),
    "needed_key_misspelt": (
        (CAPABILITIES, CAPABILITIES.replace("capabilities", "capabilites")),
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
    "revision_of_nothing": (('hub_id = "microsoft/', '# "'), "[phi3] a revision needs its hub_id"),
}
BAD_RECIPES = {
    "wrong_type": (('"size": 32000', '"size": "32000"'), "[phi3] vocabulary.size: "),
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
    "extends_nothing": (
        ('"vocabulary": {', '"extends": "phi4", "vocabulary": {'),
        "[phi3] extends: ",
    ),
}


def check_refusal(read: Callable[[], object], place: str, message: str) -> None:
    """Reading fails with one line that starts with the place."""
    with pytest.raises(DataError) as caught:
        read()
    assert str(caught.value).startswith(f"{place}: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def spoil(source: Path, folder: Path, change: tuple[str, str]) -> Path:
    """A copy of a data file with one thing replaced, in a folder of the same name."""
    text = source.read_text(encoding="utf-8")
    assert change[0] in text
    path = folder / source.parent.name / source.name
    path.parent.mkdir(parents=True)
    path.write_text(text.replace(*change, 1), encoding="utf-8")
    return path


def check_topic(folder: Path, content: Any, kind: type[Any], message: str) -> None:
    """Reading `words.json` with these bytes, or these changes of a sound topic, is refused."""
    path = folder / "words.json"
    is_file = isinstance(content, bytes)
    path.write_bytes(content if is_file else json.dumps({**TOPIC, **content}).encode())
    check_refusal(lambda: read_topic(path, kind), f"{folder.name}/words.json", message)


@pytest.mark.parametrize(("content", "message"), BAD_TOPICS.values(), ids=BAD_TOPICS)
def test_bad_topic_is_refused(tmp_path: Path, content: Any, message: str) -> None:
    check_topic(tmp_path, content, TextCase, message)


@pytest.mark.parametrize("name", [*BAD_TEXTS, *BAD_CHATS])
def test_bad_case_is_refused(tmp_path: Path, name: str) -> None:
    kind, sound = (TextCase, TEXT) if name in BAD_TEXTS else (ChatCase, CHAT)
    changes, message = (BAD_TEXTS | BAD_CHATS)[name]
    kept = {key: value for key, value in {**sound, **changes}.items() if value is not ...}
    place = {**sound, **changes}["id"]
    check_topic(tmp_path, {"cases": [kept]}, kind, f"[{place}] {message}")


@pytest.mark.parametrize(("change", "message"), BAD_REGISTRIES.values(), ids=BAD_REGISTRIES)
def test_bad_registry_is_refused(tmp_path: Path, change: tuple[str, str], message: str) -> None:
    path = spoil(FIXTURES / "models.toml", tmp_path, change)
    check_refusal(lambda: read_registry(path), "fixtures/models.toml", message)


@pytest.mark.parametrize(("change", "message"), BAD_RECIPES.values(), ids=BAD_RECIPES)
def test_bad_recipe_is_refused(tmp_path: Path, change: tuple[str, str], message: str) -> None:
    path = spoil(RECIPES / "phi3.json", tmp_path, change)
    check_refusal(lambda: read_recipe("phi3", path.parent), "recipes/phi3.json", message)


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


def test_no_part_of_a_prompt_is_pinned_by_its_recording_alone() -> None:
    """Every conversation that a model renders is written out: framed, as a twin, or continued."""
    bare = [
        f"{key} {chat.name}"
        for key, model in registry().items()
        if not model.on_request  # drafted: held to properties of any template beside its frames
        for chat in conversations().values()
        if model.can("chat", *chat.needs)
        and not refuses(model, chat)
        and not can_be_framed(model, chat)
        and chat.twin(key) is None
        and not chat.continue_final_message  # a contract of its own
        and "date_string" not in chat.template_kwargs  # likewise
    ]
    assert bare == []

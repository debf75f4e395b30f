"""Mistakes of somebody who adds a model or a case: one line names the file to mend."""

from pathlib import Path

import pytest

from tests.meta.conftest import Run, run_pytest

FILES = "tests/conformance/test_files.py"
CHAT = "tests/conformance/test_chat.py"
CASE = """{"topic": "roles", "about": "One.", "cases": [{"id": "unfinished",
"comment": "A template that is given no text to continue refuses.", "add_generation_prompt": true,
"messages": [{"role": "user", "content": "Hi"}], "continue_final_message": true}]}"""


def run_on(project: Path, *options: str) -> Run:
    """Run some tests of phi3 only."""
    return run_pytest("-q", "--models", "phi3", *options, cwd=project)


# What is changed in the registry -> test, and how its first line begins and ends.
WRONG_FACTS = {
    "vocabulary": (
        ('vocabulary_sha256 = "d5a06', 'vocabulary_sha256 = "d5a07'),
        "test_vocabulary_is",
        "phi3: vocabulary: 32011 tokens, declared 32011; sha256 d5a06e8fc9fa, declared "
        "d5a07e8fc9fa; likely cause: tokenizer.json is the pinned file: "
        "fixtures/models.toml says otherwise",
    ),
    "merges": (
        ('merges_sha256 = "751e0', 'merges_sha256 = "751e1'),
        "test_merges_are",
        "phi3: merges: 61249, declared 61249; sha256 751e02fcfdec, declared 751e12fcfdec; likely "
        "cause: tokenizer.json is the pinned file: fixtures/models.toml says otherwise",
    ),
    "setting": (
        ('padding_side = "left"', 'padding_side = "right"'),
        "test_setting_is",
        "phi3: padding_side: got 'left', expected 'right'; likely cause: the files are the pinned "
        "ones and fixtures/models.toml says otherwise, or the library does",
    ),
}


@pytest.mark.parametrize("fact", WRONG_FACTS)
def test_wrong_fact_of_the_registry_is_told_from_a_changed_file(project: Path, fact: str) -> None:
    change, test, said = WRONG_FACTS[fact]
    path = project / "fixtures" / "models.toml"
    text = path.read_text(encoding="utf-8")
    before, phi3, rest = text.partition("[phi3.tokenizer]")
    assert change[0] in rest
    path.write_text(before + phi3 + rest.replace(*change, 1), encoding="utf-8")
    run = run_on(project, FILES, "-k", test)
    assert run.code == 1
    assert run.line("phi3: ").removeprefix("E   ").strip() == said


def test_wrong_recipe_is_named(project: Path) -> None:
    path = project / "fixtures" / "recipes" / "phi3.json"
    text = path.read_text(encoding="utf-8")
    assert '"byte_fallback": true' in text
    path.write_text(text.replace('"byte_fallback": true', '"byte_fallback": false', 1))
    run = run_on(project, FILES, "-k", "test_file_pipeline_is_the_declared_one")
    assert run.code == 1
    assert "and fixtures/recipes/phi3.json says otherwise" in run.line("phi3: model in tokenizer")


def test_refused_conversation_is_one_line_with_the_mend(project: Path) -> None:
    path = project / "fixtures" / "conversations" / "roles.json"
    path.write_text(CASE, encoding="utf-8")
    run = run_on(project, CHAT, "-k", "test_direct_ids and unfinished")
    assert run.code == 1
    line = run.line("phi3 roles.unfinished: the template raised ValueError: ")
    assert 'add "phi3" to raises of fixtures/conversations/roles.json [unfinished]' in line
    assert "Traceback" not in run.out
    assert "site-packages" not in run.out

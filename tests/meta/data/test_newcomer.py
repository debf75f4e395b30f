"""Mistakes of somebody who adds a model or a case: one line names the file to correct."""

from pathlib import Path

import pytest

from tests.meta.conftest import Run, copy_project, run_pytest

CASE = """{"topic": "roles", "about": "One.", "cases": [{"id": "unfinished",
"comment": "A template that is given no text to continue refuses.", "add_generation_prompt": true,
"messages": [{"role": "user", "content": "Hi"}], "continue_final_message": true}]}"""
# A wrong fact in phi3's part of the registry -> the line that names it.
WRONG_FACTS = {
    ('vocabulary_sha256 = "d5a06', 'vocabulary_sha256 = "d5a07'): (
        "phi3: vocabulary: 32011 tokens, declared 32011; sha256 d5a06e8fc9fa, declared "
        "d5a07e8fc9fa; likely cause: tokenizer.json is the pinned file: "
        "fixtures/models.toml says otherwise"
    ),
    ('merges_sha256 = "751e0', 'merges_sha256 = "751e1'): (
        "phi3: merges: 61249, declared 61249; sha256 751e02fcfdec, declared 751e12fcfdec; likely "
        "cause: tokenizer.json is the pinned file: fixtures/models.toml says otherwise"
    ),
    ('padding_side = "left"', 'padding_side = "right"'): (
        "phi3: padding_side: got 'left', expected 'right'; likely cause: the files are the pinned "
        "ones and fixtures/models.toml says otherwise, or the library does"
    ),
}


def change(path: Path, *changes: tuple[str, str], after: str = "") -> None:
    """Replace the first of each text behind `after`."""
    before, mark, text = path.read_text(encoding="utf-8").partition(after or "{")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    path.write_text(before + mark + text, encoding="utf-8")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, bundle: dict[str, Path]) -> Run:
    """One run with all mistakes: each is found by a test of its own."""
    project = copy_project(tmp_path_factory.mktemp("newcomer") / "project")
    fixtures = project / "fixtures"
    change(fixtures / "models.toml", *WRONG_FACTS, after="[phi3.tokenizer]")
    byte_fallback = ('"byte_fallback": true', '"byte_fallback": false')
    change(fixtures / "recipes" / "phi3.json", byte_fallback)
    (fixtures / "conversations" / "roles.json").write_text(CASE, encoding="utf-8")
    tests = "test_vocabulary or test_merges or test_setting or test_file_pipeline"
    return run_pytest(
        *("tests/conformance/test_files.py", "tests/conformance/test_chat.py", "--models", "phi3"),
        *("-q", "-k", f"{tests} or (test_tokenized_chat and unfinished)"),
        cwd=project,
    )


@pytest.mark.parametrize("line", WRONG_FACTS.values(), ids=lambda line: line.split(":")[1].strip())
def test_wrong_fact_of_the_registry_is_told_from_a_changed_file(run: Run, line: str) -> None:
    assert run.code == 1
    assert run.line(line[:18]).removeprefix("E   ").strip() == line


def test_wrong_recipe_is_named(run: Run) -> None:
    assert "and fixtures/recipes/phi3.json says otherwise" in run.line("phi3: model in tokenizer")


def test_refused_conversation_is_one_line_with_the_fix(run: Run) -> None:
    line = run.line("phi3 roles.unfinished: rendering raised ValueError: ")
    assert line.endswith("or a new case needs an entry in raises")
    fix = run.line('  if it is meant to, add "roles.unfinished" to raises of ')
    assert fix.endswith("fixtures/exceptions/phi3.json")
    assert "Traceback" not in run.out
    assert "site-packages" not in run.out
    assert run.line("5 failed")

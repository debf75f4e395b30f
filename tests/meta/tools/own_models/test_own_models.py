"""A draft of any family is green, and hides neither a later fault nor an earlier contradiction."""

import json
import shlex
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.meta.conftest import PROJECT, Run, run_anew, run_pytest
from tests.meta.support.small_project import shrink

from .folders import FAMILIES, make, make_unigram, make_wordpiece, other_json, spoil


def small(project: Path) -> Path:
    """A small project with conversations that need no system message."""
    shrink(project)
    topic = "fixtures/conversations/turns.json"
    shutil.copy(PROJECT / topic, project / topic)
    return project


def draft(*arguments: str, cwd: Path) -> Run:
    """Run the command."""
    return run_anew("tests.tools.new_model", *arguments, cwd=cwd)


@pytest.mark.slow  # each drafts and runs the contracts twice; test_from_the_hub.py does so once
@pytest.mark.parametrize("name", FAMILIES)
def test_a_draft_is_green_and_a_later_fault_is_red(
    tmp_path: Path, project: Path, name: str
) -> None:
    family = FAMILIES[name]
    folder = make(tmp_path / "mine", family)
    drafted = draft("mine", str(folder), "--write", cwd=small(project))
    assert drafted.code == 0, drafted.out[-3000:]
    assert drafted.line("mine: green: ")
    spoil(folder, family.fault)
    run = run_pytest(
        *("tests/conformance/test_chat.py", "-q", "--models", "mine"),
        *("--model-dir", f"mine={folder}"),
        cwd=project,
    )
    assert run.code == 1
    assert run.line(f"::{family.red}[mine")


# What contradicts what, planted before drafting -> the finding's line.
def _no_end(folder: Path) -> None:
    other_json(folder / "config.json", lambda config: config.update(eos_token_id=3))


def _too_few_rows(folder: Path) -> None:
    other_json(folder / "config.json", lambda config: config.update(vocab_size=300))


def _other_template(folder: Path) -> None:
    template = FAMILIES["thinking"].template + " "
    other_json(
        folder / "tokenizer_config.json", lambda settings: settings.update(chat_template=template)
    )


def _lost_letter(folder: Path) -> None:
    spoil(folder, ("<|im_start|>", "<|im_strt|>"))


def _moved_token(folder: Path) -> None:
    decoder = {"1": {"content": "<|im_end|>", "special": True}}
    other_json(
        folder / "tokenizer_config.json",
        lambda settings: settings.update(added_tokens_decoder=decoder),
    )


def _no_token(folder: Path) -> None:
    other_json(
        folder / "tokenizer_config.json", lambda settings: settings.update(eos_token="<|end|>")
    )


def _lost_decoder(folder: Path) -> None:
    other_json(folder / "tokenizer.json", lambda content: content.update(decoder=None))


CONTRADICTIONS: dict[str, tuple[Callable[[Path], Any], str]] = {
    "no_end": (_no_end, "eos_token_id = 3, the tokenizer's eos is 0: it never stops"),
    "too_few_rows": (_too_few_rows, "config.json: vocab_size = 300, tokenizer.json has "),
    "other_template": (_other_template, "declared in chat_template.jinja: they differ"),
    "lost_letter": (_lost_letter, "the template writes '<|im_strt|>', tokenizer.json has "),
    "moved_token": (_moved_token, "added_tokens_decoder: '<|im_end|>' = 1, tokenizer.json has 0"),
    "no_token": (_no_token, "eos_token = '<|end|>', which tokenizer.json does not have"),
    "lost_decoder": (_lost_decoder, "decode(encode(text)): "),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", CONTRADICTIONS)
def test_a_fault_before_drafting_is_a_finding(tmp_path: Path, project: Path, name: str) -> None:
    plant, said = CONTRADICTIONS[name]
    folder = make(tmp_path / "mine", FAMILIES["thinking"])
    plant(folder)
    drafted = draft("mine", str(folder), cwd=shrink(project))
    assert drafted.code in (1, 2), drafted.out[-3000:]
    assert drafted.line(said)
    if drafted.code == 1:
        assert drafted.line("findings that no declaration may hide:")
        assert drafted.line("mine: ").count("\n") == 0


_NO_E = {"type": "Replace", "pattern": {"String": "e"}, "content": ""}
# What is put in place of parts of tokenizer.json after drafting -> the contract that is red.
SPOILED: dict[str, tuple[Callable[[Path], Path], str, dict[str, tuple[dict[str, Any], str]]]] = {
    "unigram": (
        make_unigram,
        "behind = [1]",
        {
            "letters_lost": ({"decoder": _NO_E}, "test_decoding_gives_the_text_back"),
            "nothing_around": ({"post_processor": None}, "test_bos_matches_registry"),
        },
    ),
    "wordpiece": (
        make_wordpiece,
        "front = [3]",
        {
            "letters_lost": ({"decoder": _NO_E}, "test_decoding_gives_the_text_back"),
            "nothing_around": ({"post_processor": None}, "test_bos_matches_registry"),
            "cased": ({"normalizer": None}, "test_file_pipeline_matches_recipe"),
        },
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", SPOILED)
def test_a_tokenizer_of_words_is_held_to_its_characters(
    tmp_path: Path, project: Path, name: str
) -> None:
    """White space it may lose, a letter not; and what it puts around a text is declared."""
    make_folder, declared, faults = SPOILED[name]
    folder = make_folder(tmp_path / "mine")
    drafted = draft("mine", str(folder), "--write", cwd=shrink(project))
    assert drafted.code == 0, drafted.out[-3000:]
    assert drafted.line(declared)
    for fault, (change, red) in faults.items():
        spoiled = Path(shutil.copytree(folder, tmp_path / fault))
        other_json(spoiled / "tokenizer.json", partial(dict.update, **change))
        run = run_pytest(
            *("tests/conformance", "-q", "--models", "mine"),
            *("--model-dir", f"mine={spoiled}"),
            cwd=project,
        )
        assert run.code == 1, fault
        assert f"::{red}[mine" in run.out, fault


@pytest.mark.slow
def test_readmes_task_can_be_typed(tmp_path: Path, project: Path, bundle: dict[str, Path]) -> None:
    """The command of README, with a fine-tune whose pad token is another."""
    text = (PROJECT / "README.md").read_text("utf-8")
    (line,) = [line for line in text.splitlines() if "new_model KEY DIR" in line]
    folder = Path(shutil.copytree(bundle["phi3"], tmp_path / "my model"))
    other_json(
        folder / "tokenizer_config.json", lambda settings: settings.update(pad_token="<unk>")
    )
    typed = [{"KEY": "mine", "DIR": str(folder)}.get(word, word) for word in shlex.split(line)]
    assert typed[:2] == ["python", "-m"]
    drafted = run_anew(*typed[2:], cwd=shrink(project))
    assert drafted.code == 0, drafted.out[-3000:]
    assert drafted.line("  pad: 32000 -> 0")
    command = shlex.split(drafted.line("next: pytest ").removeprefix("next: "))
    assert run_pytest(*command[1:], "-q", cwd=project).code == 0


@pytest.mark.slow
def test_an_adapters_folder_takes_its_bases_config(
    tmp_path: Path, project: Path, bundle: dict[str, Path]
) -> None:
    folder = Path(shutil.copytree(bundle["phi3"], tmp_path / "adapter"))
    (folder / "config.json").unlink()
    config = {"base_model_name_or_path": "microsoft/Phi-3-mini-4k-instruct", "peft_type": "LORA"}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    drafted = draft("mine", str(folder), cwd=shrink(project))
    assert drafted.code == 0, drafted.out[-3000:]
    assert drafted.line("mine is based on phi3, and differs from it in:")
    other_json(
        folder / "adapter_config.json", lambda c: c.update(base_model_name_or_path="me/unknown")
    )
    drafted = draft("mine", str(folder), cwd=project)
    assert drafted.code == 2
    assert drafted.line("'me/unknown', which no hub_id of fixtures/models.toml is: copy its ")

"""Settings that users change: each changes what it is for, and nothing else."""

from typing import Any

import pytest

from tests.harness.checks.settings import ADDING, check_adding, check_fact, check_facts
from tests.harness.checks.tokenizer import check_value, must_work
from tests.harness.data.settings import EOS, Setting, settings
from tests.harness.tokenizer.copies import lean_folder, load_copy, own_copy, restored
from tests.harness.tokenizer.loaded import LoadedTokenizer
from tests.harness.tokenizer.settings import FACTS, expected, own_facts, with_changes

ATTRIBUTES = [one for one in settings().values() if "attribute" in one.ways]
ARGUMENTS = [one for one in settings().values() if "argument" in one.ways]


@pytest.mark.parametrize("setting", ATTRIBUTES, ids=lambda setting: setting.id)
def test_attribute_changes_nothing_else(tokenizer: LoadedTokenizer, setting: Setting) -> None:
    auto = own_copy(tokenizer)
    facts = with_changes(tokenizer, own_facts(tokenizer, len(auto)), setting.changes)
    value = auto.eos_token if setting.value == EOS else setting.value
    with restored(auto):
        what = f"after {setting.name} = {value!r}"
        with must_work(tokenizer, setting.id, what):
            setattr(auto, setting.name, value)
        check_facts(tokenizer, what, auto, facts)


@pytest.mark.parametrize("facts", ["ids", "all_others"])
def test_arguments_of_loading_change_nothing_else(tokenizer: LoadedTokenizer, facts: str) -> None:
    """All of them in one call, since loading is what costs."""
    given = {one.name: one.value for one in ARGUMENTS}
    auto = vars(tokenizer).get("with_arguments")
    if auto is None:
        auto = vars(tokenizer)["with_arguments"] = load_copy(lean_folder(tokenizer), **given)
    for fact in FACTS:
        if (fact == "ids") == (facts == "ids"):
            _check_arguments(tokenizer, auto, fact)


def _check_arguments(tokenizer: LoadedTokenizer, auto: Any, fact: str) -> None:
    """Judge a fact under all arguments, and name those that concern it."""
    before = facts = own_facts(tokenizer, tokenizer.spec.tokenizer.vocabulary_size)
    right, concerned = expected(tokenizer, before)[fact], []
    for one in ARGUMENTS:
        facts = with_changes(tokenizer, facts, one.changes)
        alone = with_changes(tokenizer, before, one.changes)
        if expected(tokenizer, alone)[fact] != right:
            concerned.append(f"{one.name}={one.value!r}")
    what = f"loaded with {' and '.join(concerned) or 'arguments that do not concern it'}"
    check_fact(tokenizer, what, auto, facts, fact)


@pytest.mark.parametrize("flag", ["add_bos_token", "add_eos_token"])
def test_flag_says_what_is_added(tokenizer: LoadedTokenizer, flag: str) -> None:
    """Where a version has the flag at all."""
    facts, auto = own_facts(tokenizer, 0), own_copy(tokenizer)
    if (got := getattr(auto, flag, None)) is not None:
        right = bool(facts.front if flag == "add_bos_token" else facts.behind)
        check_value(tokenizer, flag, got, right, "the flag is not read from the post-processor")


@pytest.mark.parametrize("way", ADDING)
def test_new_tokens_come_behind_the_old(tokenizer: LoadedTokenizer, way: str) -> None:
    auto = own_copy(tokenizer)
    with restored(auto):
        check_adding(tokenizer, auto, way)

"""Settings that users change: each changes what it is for, and nothing else."""

from contextlib import suppress
from typing import Any

import pytest

from tests.harness.checks.settings import ADDING, check_adding, check_fact, check_facts
from tests.harness.checks.tokenizer import check_value, must_work
from tests.harness.data.settings import EOS, Setting, settings
from tests.harness.tokenizer.copies import lean_folder, own_copy, restored
from tests.harness.tokenizer.loaded import LoadedTokenizer, load_auto
from tests.harness.tokenizer.settings import (
    FACTS,
    Facts,
    expected,
    observed,
    own_facts,
    with_changes,
)

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
    """All of them in one call, since loading is what costs; each alone only to name the one."""
    auto = vars(tokenizer).get("with_arguments")
    if auto is None:
        auto = vars(tokenizer)["with_arguments"] = _loaded_with_all(tokenizer)
    own = changed = own_facts(tokenizer, tokenizer.spec.tokenizer.vocabulary_size)
    for one in ARGUMENTS:
        changed = with_changes(tokenizer, changed, one.changes)
    right = expected(tokenizer, changed)
    for fact in FACTS:
        if (fact == "ids") == (facts == "ids") and observed(tokenizer, auto, fact) != right[fact]:
            _check_each_argument(tokenizer, own, fact)
            check_fact(tokenizer, "loaded with all arguments together", auto, changed, fact)


def _loaded_with_all(tokenizer: LoadedTokenizer) -> Any:
    folder, given = lean_folder(tokenizer), {one.name: one.value for one in ARGUMENTS}
    with suppress(Exception):
        return load_auto(folder, **given)
    for one in ARGUMENTS:
        with must_work(tokenizer, one.id, f"loading with {one.name}={one.value!r}"):
            load_auto(folder, **{one.name: one.value})
    with must_work(tokenizer, "settings", "loading with all arguments together"):
        auto = load_auto(folder, **given)
    return auto


def _check_each_argument(tokenizer: LoadedTokenizer, own: Facts, fact: str) -> None:
    """Fail by the first argument that does so alone; those that may change the fact come first."""
    before, facts = expected(tokenizer, own)[fact], {}
    for one in ARGUMENTS:
        facts[one] = with_changes(tokenizer, own, one.changes)
    for one in sorted(facts, key=lambda one: expected(tokenizer, facts[one])[fact] == before):
        if fact == "decoded text" and facts[one].clean_up:
            continue  # what versions that clean up do is a contract of decoding
        auto = load_auto(lean_folder(tokenizer), **{one.name: one.value})
        what = f"loaded with {one.name}={one.value!r}"
        check_fact(tokenizer, what, auto, facts[one], fact)


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

"""Parametrises over models and cases: only combinations the registry declares."""

import pytest

from tests.harness.cases import conversations, published, texts
from tests.harness.loading import Loaded, models_of
from tests.harness.models import Model, registry
from tests.harness.prompts import can_be_framed
from tests.harness.refusing import fault_of, refuse

from .test_files import declared_small_files
from .test_keywords import KEYWORDS

# What a test can be combined with beside the model.
SECOND = {"text", "chat", "framed", "refused", "output", "other", "keyword", "small_file"}


def marked(metafunc: pytest.Metafunc, name: str) -> set[str]:
    """The capabilities a `needs` or `lacks` mark names."""
    return {it for mark in metafunc.definition.iter_markers(name) for it in mark.args}


def rows(argument: str, model: Model, models: dict[str, Loaded]) -> list[tuple[object, str]]:
    """What a model is combined with for a test's second argument, and the name of each."""
    chats = [c for c in conversations().values() if model.can("chat", *c.needs)]
    foreign = [
        key
        for key in models
        if registry()[key].tokenizer.vocabulary_sha256 != model.tokenizer.vocabulary_sha256
        and not models[key].lacking
    ]
    choices: dict[str, list[tuple[object, str]]] = {
        "text": [(case, case.name) for case in texts().values()],
        "chat": [(case, case.name) for case in chats if model.key not in case.raises],
        "framed": [(case, case.name) for case in chats if can_be_framed(case, model.key)],
        "refused": [(case, case.name) for case in chats if model.key in case.raises],
        "output": [(it, it.id) for it in published() if it.model == model.key],
        "other": [(models[key], key) for key in foreign],
        "small_file": [(name, name) for name in declared_small_files(models[model.key])],
        "keyword": [(word, word) for word in KEYWORDS if model.can(*KEYWORDS[word][2])],
    }
    return choices[argument]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Each test runs on `model`, or on `model` x its second argument; marks narrow the models."""
    if "model" not in metafunc.fixturenames:
        return
    needs, lacks = marked(metafunc, "needs"), marked(metafunc, "lacks")
    loaded = models_of(metafunc.config)
    models = [it for it in loaded.values() if it.model.can(*needs)]
    models = [it for it in models if not lacks or not it.model.can(*lacks)]
    second = SECOND & set(metafunc.fixturenames)
    if not second:
        metafunc.parametrize("model", models, ids=[it.key for it in models])
        return
    argument = second.pop()
    table = [(it, value, name) for it in models for value, name in rows(argument, it.model, loaded)]
    metafunc.parametrize(
        ("model", argument),
        [(it, value) for it, value, _ in table],
        ids=[f"{it.key}-{name}" for it, _, name in table],
    )


def pytest_runtest_setup(item: pytest.Item) -> None:
    """No test runs on files that cannot be had or read."""
    call = getattr(item, "callspec", None)
    for value in call.params.values() if call else ():
        if isinstance(value, Loaded):
            refuse(item.config, fault_of(value))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Drop what pytest would skip for an empty parameter set: no chosen model is concerned."""
    items[:] = [item for item in items if not item.name.endswith("[NOTSET]")]

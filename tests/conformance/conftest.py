"""Parametrises over models and cases: only combinations the registry declares."""

from collections.abc import Callable

import pytest

from tests.harness.cases import conversations, published, texts
from tests.harness.loading import KEYS, Loaded
from tests.harness.models import Model, registry

from .test_keywords import KEYWORDS


def marked(metafunc: pytest.Metafunc, name: str) -> set[str]:
    """The capabilities a `needs` or `lacks` mark names."""
    return {it for mark in metafunc.definition.iter_markers(name) for it in mark.args}


def rows(argument: str, model: Model, keys: list[str]) -> list[tuple[object, str]]:
    """What a model is combined with for a test's second argument, and the name of each."""
    chats = [c for c in conversations().values() if model.can("chat", *c.needs)]
    foreign = [
        key
        for key in keys
        if registry()[key].tokenizer.vocabulary_sha256 != model.tokenizer.vocabulary_sha256
    ]
    choices: dict[str, list[tuple[object, str]]] = {
        "text": [(case, case.name) for case in texts().values()],
        "chat": [(case, case.name) for case in chats if model.key not in case.raises],
        "refused": [(case, case.name) for case in chats if model.key in case.raises],
        "output": [(it, it.id) for it in published() if it.model == model.key],
        "other": [(key, key) for key in foreign],
        "keyword": [(word, word) for word in KEYWORDS if model.can(*KEYWORDS[word][2])],
    }
    return choices[argument]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Each test runs on `model`, or on `model` x its second argument; marks narrow the models."""
    if "model" not in metafunc.fixturenames:
        return
    keys = metafunc.config.stash[KEYS]
    needs, lacks = marked(metafunc, "needs"), marked(metafunc, "lacks")
    models = [registry()[k] for k in keys if registry()[k].can(*needs)]
    models = [m for m in models if not lacks or not m.can(*lacks)]
    second = {"text", "chat", "refused", "output", "other", "keyword"} & set(metafunc.fixturenames)
    if not second:
        metafunc.parametrize("model", [m.key for m in models], indirect=True)
        return
    argument = second.pop()
    table = [(m.key, value, name) for m in models for value, name in rows(argument, m, keys)]
    metafunc.parametrize(
        ("model", argument),
        [(key, value) for key, value, _ in table],
        indirect=["model", "other"] if argument == "other" else ["model"],
        ids=[f"{key}-{name}" for key, _, name in table],
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Drop what pytest would skip for an empty parameter set: no chosen model is concerned."""
    items[:] = [item for item in items if not item.name.endswith("[NOTSET]")]


@pytest.fixture
def other(request: pytest.FixtureRequest, loader: Callable[[str], Loaded]) -> Loaded:
    """A second model, to be confused with the first."""
    return loader(request.param)

"""What each test runs on: only combinations of models, cases and loads that are declared."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from ..data.calls import calls
from ..data.cases import ChatCase, conversations, published, texts
from ..data.registry import Device, registry
from ..memory.footprint import LOADS, Load
from ..tokenizer.chat import answers, can_be_framed
from ..tokenizer.keywords import KEYWORDS
from ..tokenizer.loaded import LoadedTokenizer
from .tokenizers import KEYS, WEIGHTS, tokenizers_of

Placement = tuple[str, Device, Load]  # of a loaded model: its key, the device, how it is loaded
Tokenizers = dict[str, LoadedTokenizer]


def _chats(tokenizer: LoadedTokenizer, refused: bool = False) -> list[ChatCase]:
    """The conversations a model is declared to render, or those it is declared to refuse."""
    model = tokenizer.spec
    chats = [chat for chat in conversations().values() if model.can("chat", *chat.needs)]
    return [chat for chat in chats if (model.key in chat.raises) == refused]


def _others(tokenizer: LoadedTokenizer, chosen: Tokenizers) -> list[LoadedTokenizer]:
    """The chosen models with another vocabulary."""
    own = tokenizer.spec.tokenizer.vocabulary_sha256
    return [
        other
        for other in chosen.values()
        if other.spec.tokenizer.vocabulary_sha256 != own and not other.missing_reason
    ]


def _small_files(tokenizer: LoadedTokenizer) -> list[str]:
    """The small files a model has; from the hub only those whose content was published."""
    pins = tokenizer.spec.files
    names = ("generation_config.json", "special_tokens_map.json", "tokenizer_config.json")
    return [
        name
        for name in names
        if name in pins and (pins[name].published or tokenizer.source != "hub")
    ]


# What a test can take beside the model, by the argument's name.
_ARGUMENTS: dict[str, Callable[[LoadedTokenizer, Tokenizers], Sequence[object]]] = {
    "text": lambda tokenizer, _: list(texts().values()),
    "chat": lambda tokenizer, _: _chats(tokenizer),
    "framed": lambda tokenizer, _: [
        chat for chat in _chats(tokenizer) if can_be_framed(chat, tokenizer.key)
    ],
    "answered": lambda tokenizer, _: [
        chat for chat in _chats(tokenizer) if any(answers(chat.messages))
    ],
    "twinned": lambda tokenizer, _: [
        chat for chat in _chats(tokenizer) if chat.twin(tokenizer.key) is not None
    ],
    "refused": lambda tokenizer, _: _chats(tokenizer, refused=True),
    "output": lambda tokenizer, _: [each for each in published() if each.model == tokenizer.key],
    "call": lambda tokenizer, _: [each for each in calls() if tokenizer.key in each.expected],
    "other": _others,
    "keyword": lambda tokenizer, _: [
        name for name, keyword in KEYWORDS.items() if tokenizer.spec.can(*keyword.needs)
    ],
    "small_file": lambda tokenizer, _: _small_files(tokenizer),
}


def parametrize_tokenizers(metafunc: pytest.Metafunc) -> None:
    """Give a test its models, or pairs of model and second argument; marks narrow the models."""
    if "tokenizer" not in metafunc.fixturenames:
        return
    needs, lacks = _marked(metafunc, "needs"), _marked(metafunc, "lacks")
    chosen = tokenizers_of(metafunc.config)
    tokenizers = [
        tokenizer
        for tokenizer in chosen.values()
        if tokenizer.spec.can(*needs) and not (lacks and tokenizer.spec.can(*lacks))
    ]
    second = next((name for name in metafunc.fixturenames if name in _ARGUMENTS), None)
    if second is None:
        metafunc.parametrize("tokenizer", tokenizers, ids=[t.key for t in tokenizers])
        return
    rows = [(each, value) for each in tokenizers for value in _ARGUMENTS[second](each, chosen)]
    ids = [f"{tokenizer.key}-{name_of(value)}" for tokenizer, value in rows]
    metafunc.parametrize(("tokenizer", second), rows, ids=ids)


def name_of(value: Any) -> str:
    """The name in test ids of what a test is parametrized with."""
    names = (getattr(value, name, "") for name in ("key", "name", "id"))
    return next(filter(None, names), str(value))


def _marked(metafunc: pytest.Metafunc, name: str) -> set[str]:
    return {each for mark in metafunc.definition.iter_markers(name) for each in mark.args}


def drop_empty(items: list[pytest.Item]) -> None:
    """Drop what pytest would skip for an empty parameter set: no chosen model is concerned."""
    items[:] = [item for item in items if "[NOTSET" not in item.name]


def placements(config: pytest.Config, test: pytest.Function) -> list[Placement]:
    """The declared combinations for a test, narrowed by its marks.

    A test of trained values does not apply to a model whose weights are dummy by option.
    """
    marks = {
        name: test.get_closest_marker(name) for name in ("loads", "devices", "trained", "needs")
    }
    loads = marks["loads"].args if marks["loads"] else LOADS
    needs = marks["needs"].args if marks["needs"] else ()
    combinations: list[Placement] = [
        (key, device, load)
        for key in config.stash[KEYS]
        if registry()[key].can(*needs)
        if not (marks["trained"] and config.stash[WEIGHTS][key] == "dummy")
        for device in registry()[key].quantized_on
        if not marks["devices"] or device in marks["devices"].args
        for load in loads
    ]
    return sorted(combinations, key=_load_order)


def _load_order(placement: Placement) -> tuple[str, str, int]:
    """The small models of the CPU first; of the loads bf16, which others are compared with."""
    key, device, load = placement
    return device, key, ("bf16", "nf4", "int8").index(load)


def sort_by_load(items: list[pytest.Item]) -> None:
    """Bring the tests of each load together, so that it happens once; others keep their place.

    Those that need the model as it was loaded come first, before it is run.
    """
    spots = [index for index, item in enumerate(items) if placement_of(item)]
    ordered = sorted(
        (items[spot] for spot in spots),
        key=lambda item: (
            _load_order(placement_of(item)),
            "freshly_loaded" not in getattr(item, "fixturenames", ()),
        ),
    )
    for spot, item in zip(spots, ordered, strict=True):
        items[spot] = item


def placement_of(item: pytest.Item) -> Any:
    """The `Placement` a test runs on; None if it takes no loaded model."""
    call = getattr(item, "callspec", None)
    return call.params.get("placement") if call else None


def parametrize_loads(metafunc: pytest.Metafunc) -> None:
    """Give a test of a loaded model its combinations: all three loads unless marked `loads`."""
    if "placement" not in metafunc.fixturenames:
        return
    rows = [
        pytest.param(
            placement,
            id="-".join(placement),
            marks=[pytest.mark.gpu] if placement[1] == "cuda" else [],
        )
        for placement in placements(metafunc.config, metafunc.definition)
    ]
    # In this scope pytest keeps tests of one placement together, as `sort_by_load` has them.
    metafunc.parametrize("placement", rows, indirect=True, scope="session")

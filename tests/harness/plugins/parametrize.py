"""What each test runs on: only combinations of models, cases and loads that are declared."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from ..data.calls import calls
from ..data.cases import ChatCase, FunctionCase, conversations, offers, published, texts
from ..data.exceptions import is_expected, is_published, refuses, twin_of
from ..data.registry import Device, Model, registry
from ..data.runs import PLAIN, runs
from ..memory.architecture import FAMILIES
from ..memory.footprint import LOADS, Load
from ..tokenizer.chat import answers
from ..tokenizer.frames import has_frames_for, is_text, with_functions
from ..tokenizer.keywords import KEYWORDS
from ..tokenizer.loaded import LoadedTokenizer
from .tokenizers import KEYS, WEIGHTS, tokenizers_of

Placement = tuple[str, Device, Load]  # of a loaded model: its key, the device, how it is loaded
Tokenizers = dict[str, LoadedTokenizer]


def chats_of(tokenizer: LoadedTokenizer, refused: bool = False) -> list[ChatCase]:
    """The conversations a model is declared to render, or those it is declared to refuse."""
    model = tokenizer.spec
    chats = [chat for chat in conversations().values() if model.can("chat", *chat.needs)]
    return [chat for chat in chats if refuses(model, chat) == refused]


def _others(tokenizer: LoadedTokenizer, chosen: Tokenizers) -> list[LoadedTokenizer]:
    """The chosen models with another vocabulary, not the same with other added tokens."""
    own = tokenizer.spec

    def shares_words(other: Model) -> bool:
        ours, theirs = own.tokenizer, other.tokenizer
        same_merges = ours.merges > 0 and ours.merges_sha256 == theirs.merges_sha256
        related = own.key in other.bases or other.key in own.bases
        return same_merges or related or ours.vocabulary_sha256 == theirs.vocabulary_sha256

    return [
        other
        for other in chosen.values()
        if not shares_words(other.spec) and not other.missing_reason
    ]


def _offered(model: Model) -> list[FunctionCase]:
    """The functions of which the registry says how the model's template writes them."""
    if (frame := model.functions) is None:
        return []
    cases = offers().values()
    return [case for case in cases if with_functions(frame, case.functions, "") is not None]


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
ARGUMENTS: dict[str, Callable[[LoadedTokenizer, Tokenizers], Sequence[object]]] = {
    "text": lambda tokenizer, _: list(texts().values()),
    "chat": lambda tokenizer, _: chats_of(tokenizer),
    "framed": lambda tokenizer, _: [
        chat
        for chat in chats_of(tokenizer)
        if is_text(chat) and has_frames_for(tokenizer.spec, chat)
    ],
    "spoken": lambda tokenizer, _: [chat for chat in chats_of(tokenizer) if is_text(chat)],
    "answered": lambda tokenizer, _: [
        chat for chat in chats_of(tokenizer) if any(answers(chat.messages))
    ],
    "twinned": lambda tokenizer, _: [
        chat for chat in chats_of(tokenizer) if twin_of(tokenizer.spec, chat) is not None
    ],
    "refused": lambda tokenizer, _: chats_of(tokenizer, refused=True),
    "output": lambda tokenizer, _: [
        each for each in published() if is_published(tokenizer.spec, each)
    ],
    "call": lambda tokenizer, _: [each for each in calls() if is_expected(tokenizer.spec, each)],
    "other": _others,
    "keyword": lambda tokenizer, _: [
        name
        for name, keyword in KEYWORDS.items()
        if tokenizer.spec.can(*keyword.needs)
        and (name != "add_generation_prompt" or tokenizer.spec.opens_answers())
        and (name != "continue_final_message" or tokenizer.spec.closes_answers())
    ],
    "switch": lambda tokenizer, _: list(tokenizer.spec.switches),
    "offered": lambda tokenizer, _: _offered(tokenizer.spec),
    "small_file": lambda tokenizer, _: _small_files(tokenizer),
}


def parametrize_tokenizers(metafunc: pytest.Metafunc) -> None:
    """Give a test its models, or pairs of model and second argument; marks narrow the models."""
    if "tokenizer" not in metafunc.fixturenames:
        return
    needs, lacks = marked(metafunc, "needs"), marked(metafunc, "lacks")
    chosen = tokenizers_of(metafunc.config)
    tokenizers = [
        tokenizer
        for tokenizer in chosen.values()
        if tokenizer.spec.can(*needs) and not (lacks and tokenizer.spec.can(*lacks))
    ]
    second = next((name for name in metafunc.fixturenames if name in ARGUMENTS), None)
    if second is None:
        metafunc.parametrize("tokenizer", tokenizers, ids=[t.key for t in tokenizers])
        return
    rows = [(each, value) for each in tokenizers for value in ARGUMENTS[second](each, chosen)]
    ids = [f"{tokenizer.key}-{name_of(value)}" for tokenizer, value in rows]
    metafunc.parametrize(("tokenizer", second), rows, ids=ids)


def name_of(value: Any) -> str:
    """The name in test ids of what a test is parametrized with."""
    names = (getattr(value, name, "") for name in ("key", "name", "id"))
    return next(filter(None, names), str(value))


def marked(metafunc: pytest.Metafunc, name: str) -> set[str]:
    """What the marks of this name on a test say."""
    return {each for mark in metafunc.definition.iter_markers(name) for each in mark.args}


def is_empty(item: pytest.Item | pytest.Collector) -> bool:
    """Whether pytest made this of an empty parameter set, only to skip it."""
    call = getattr(item, "callspec", None)
    values = call.params.values() if call else ()
    return any(type(value).__name__ == "NotSetType" for value in values)


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
    """The small models of the CPU first; of the loads bf16, which others are compared with.

    NF4 has most tests: meanwhile another process loads int8 a second time, which takes long.
    """
    key, device, load = placement
    return device, key, ("bf16", "int8", "nf4").index(load)


def sort_by_load(items: list[pytest.Item]) -> None:
    """Bring the tests of each load together, so that it happens once; others keep their place.

    Those that need the model as it was loaded come first, before it is run; those that wait for
    another process come last, of all loads if they need no model beside.
    """
    spots = [index for index, item in enumerate(items) if placement_of(item)]
    ordered = sorted((items[spot] for spot in spots), key=_place_of)
    for spot, item in zip(spots, ordered, strict=True):
        items[spot] = item


def _place_of(item: pytest.Item) -> tuple[object, ...]:
    device, *load_order = _load_order(placement_of(item))
    waits = needs(item, "second_load")
    apart = waits and not needs(item, "loaded_model")
    # An adapter changes its model, which is loaded again for whatever comes after it.
    adapted = needs(item, "adapters")
    return device, apart, load_order, adapted, not needs(item, "freshly_loaded"), waits


def needs(item: pytest.Item, fixture: str) -> bool:
    """Whether a test takes this fixture."""
    return fixture in getattr(item, "fixturenames", ())


def placement_of(item: pytest.Item) -> Any:
    """The `Placement` a test runs on; None if it takes no loaded model."""
    call = getattr(item, "callspec", None)
    return call.params.get("placement") if call else None


def parametrize_loads(metafunc: pytest.Metafunc) -> None:
    """Give a test of a loaded model its combinations: all three loads unless marked `loads`.

    With `run` beside it also the runs that are declared for the load, but for the plain one.
    """
    if "placement" not in metafunc.fixturenames:
        return
    chosen = placements(metafunc.config, metafunc.definition)
    if "run" not in metafunc.fixturenames:
        rows = [_of_placement(placement) for placement in chosen]
        # In this scope pytest keeps tests of one placement together, as `sort_by_load` has them.
        metafunc.parametrize("placement", rows, indirect=True, scope="session")
        return
    pairs = [
        _of_placement(placement, run)
        for placement in chosen
        for run in runs().values()
        if run.id != PLAIN and placement[1] in run.devices and placement[2] in run.loads
    ]
    metafunc.parametrize(("placement", "run"), pairs, indirect=["placement"], scope="session")


def _of_placement(placement: Placement, *others: Any) -> Any:
    return pytest.param(
        placement,
        *others,
        id="-".join([*placement, *map(name_of, others)]),
        marks=[pytest.mark.gpu] if placement[1] == "cuda" else [],
    )


def parametrize_narrow(metafunc: pytest.Metafunc) -> None:
    """Give a test of narrow models every chosen model of a known family, and the runs for it."""
    if "architecture" not in metafunc.fixturenames:
        return
    models = [registry()[key] for key in metafunc.config.stash[KEYS]]
    known = [model for model in models if model.architecture["model_type"] in FAMILIES]
    if "run" not in metafunc.fixturenames:
        metafunc.parametrize("architecture", known, ids=name_of)
        return
    rows = [(model, run) for model in known for run in runs().values() if run.narrow]
    ids = [f"{model.key}-{run.id}" for model, run in rows]
    metafunc.parametrize(("architecture", "run"), rows, ids=ids)

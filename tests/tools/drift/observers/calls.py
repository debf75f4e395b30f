"""What public calls of a tokenizer give, and what its settings change."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from tests.harness.data.calls import calls
from tests.harness.data.registry import registry
from tests.harness.data.settings import EOS, settings
from tests.harness.tokenizer.calls import BATCHES, CALLS, IDS, in_form, rows_in_form
from tests.harness.tokenizer.copies import PRICE, lean_folder, restored
from tests.harness.tokenizer.loaded import LoadedTokenizer, load_auto
from tests.harness.tokenizer.settings import FACTS, observed
from tests.harness.tokenizer.uses import USES, probes

from ..record import Observer, typed
from .public_calls import PublicCall, public_calls

_ROWS = tuple(form for forms in BATCHES.values() for form in forms)
Work = Callable[[], Any]
Calls = Iterator[tuple[str, str, Callable[[], Work]]]  # name, case, and what makes it ready


def observe_calls(observer: Observer, auto: Any, key: str) -> None:
    """Value and type of every public call, and of those whose values are written by hand."""
    for call, case, ready in calls_of(auto, key):
        _observe_result(observer, call, case, partial(_made, ready))
    for one in calls():
        if key in one.expected:
            work = partial(CALLS[one.call], auto, **one.given)
            _observe_result(observer, one.call, one.id, work)


def calls_of(auto: Any, key: str) -> Calls:
    """Every call that needs no torch; what one sets is undone before the next."""
    with restored(auto):
        price = auto.encode(PRICE, add_special_tokens=False)
        pieces = auto.convert_ids_to_tokens(price)
    names = {"@ids": price, "@pieces": pieces, "@eos": auto.eos_token}
    for one in public_calls():
        if one.needs is None or registry()[key].can(one.needs):
            with restored(auto):
                yield one.call, one.id, partial(_ready, auto, one, names)
    yield from _forms(auto, price, with_torch=False)


def names_of(key: str) -> list[tuple[str, str]]:
    """Name and case of what `calls_of` gives."""
    able = registry()[key].can
    names = [(one.call, one.id) for one in public_calls() if not one.needs or able(one.needs)]
    forms = [("decode", form) for form in IDS] + [("batch_decode", form) for form in _ROWS]
    return names + [(call, form) for call, form in forms if "torch" not in form]


def observe_torch_calls(observer: Observer, auto: Any) -> None:
    """What gives or takes tensors of torch, which only the process that loads a model has."""
    price = auto.encode(PRICE, add_special_tokens=False)
    for call, case, ready in _forms(auto, price, with_torch=True):
        _observe_result(observer, call, case, partial(_made, ready))
    for case, given in (("torch_of_one_text", PRICE), ("torch_padded", ["Hi", PRICE])):
        tensors = {"return_tensors": "pt", "padding": isinstance(given, list)}
        _observe_result(observer, "__call__", case, partial(auto, given, **tensors))


def _observe_result(observer: Observer, call: str, case: str, work: Work) -> None:
    observer.attempt("calls", call, case, lambda: typed(work()))


def _made(ready: Callable[[], Work]) -> Any:
    return ready()()


def _forms(auto: Any, ids: list[int], with_torch: bool) -> Calls:
    """The ids back to text, in every form that they come in."""
    for call, forms, made in (("decode", IDS, in_form), ("batch_decode", _ROWS, rows_in_form)):
        for form in forms:
            if ("torch" in form) == with_torch:
                yield call, form, partial(_ready_form, auto, call, partial(made, form, ids))


def _ready_form(auto: Any, call: str, given: Work) -> Work:
    return partial(getattr(auto, call), given())


def _ready(auto: Any, one: PublicCall, names: dict[str, Any]) -> Work:
    """The call with what it is given; an error where there is no such method."""
    if one.pad:
        auto.pad_token = auto.eos_token
    if one.attribute:
        return partial(getattr, auto, one.call)
    arguments, given = _filled([list(one.arguments), one.given], names)
    return partial(getattr(auto, one.call), *arguments, **given)


def _filled(value: Any, names: dict[str, Any]) -> Any:
    """The value with what `@ids` and the like stand for, as new lists and tables."""
    if isinstance(value, dict):
        return {key: _filled(inner, names) for key, inner in value.items()}
    if isinstance(value, list):
        return [_filled(inner, names) for inner in value]
    return names.get(value, value) if isinstance(value, str) else value


def observe_settings(observer: Observer, folder: Path, key: str) -> None:
    """What each setting changes, and what each use leaves behind, on a copy that loads quickly."""
    tokenizer = LoadedTokenizer(registry()[key], "directory", lambda: {key: folder})
    vars(tokenizer)["folder"] = folder  # it was loaded before, so it need not be examined
    copy = lean_folder(tokenizer)
    observer.names[str(copy)] = "<folder>"
    auto = load_auto(copy)
    before = _facts(tokenizer, auto)
    observer.note("settings", "by default", "", before)

    def changes(make: Callable[[], Any]) -> dict[str, Any]:
        after = _facts(tokenizer, make())
        return {fact: value for fact, value in after.items() if value != before[fact]}

    for one in settings().values():
        if "attribute" in one.ways:
            value = auto.eos_token if one.value == EOS else one.value
            with restored(auto):
                make = partial(_with_attribute, auto, one.name, value)
                observer.attempt("settings", one.name, one.id, changes, make)
    # In one call, as the tests do: loading is what takes time.
    given = {one.name: one.value for one in settings().values() if "argument" in one.ways}
    make = partial(load_auto, copy, **given)
    observer.attempt("settings", "from_pretrained with settings", "", changes, make)
    for use in USES:
        with restored(auto):
            observer.attempt("settings", "other results after use", use, _traces, auto, use)


def _with_attribute(auto: Any, name: str, value: Any) -> Any:
    setattr(auto, name, value)
    return auto


def _traces(auto: Any, use: str) -> list[str]:
    """The equal calls whose results are others after a use."""
    auto.pad_token = auto.pad_token or auto.eos_token
    before = probes(auto)
    USES[use](auto)
    after = probes(auto)
    return [name for name, value in before.items() if after[name] != value]


def _facts(tokenizer: LoadedTokenizer, auto: Any) -> dict[str, Any]:
    return {fact: _fact(tokenizer, auto, fact) for fact in FACTS}


def _fact(tokenizer: LoadedTokenizer, auto: Any, fact: str) -> Any:
    try:
        return observed(tokenizer, auto, fact)
    except Exception as error:  # a setting may break some calls and not others
        return type(error).__name__

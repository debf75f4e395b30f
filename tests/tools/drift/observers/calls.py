"""What public calls of a tokenizer give, and what its settings change."""

from collections.abc import Callable
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


def observe_calls(observer: Observer, auto: Any, key: str) -> None:
    """Value and type of every public call, and of those whose values are written by hand."""
    with restored(auto):
        price = auto.encode(PRICE, add_special_tokens=False)
        pieces = auto.convert_ids_to_tokens(price)
    names = {"@ids": price, "@pieces": pieces, "@eos": auto.eos_token}
    for one in public_calls():
        if one.needs is None or registry()[key].can(one.needs):
            with restored(auto):
                observer.attempt("calls", one.call, one.id, _result, auto, one, names)
    for call in calls():
        if key in call.expected:
            work = partial(CALLS[call.call], auto, **call.given)
            _observe_result(observer, call.call, call.id, work)
    _observe_forms(observer, auto, price, with_torch=False)


def observe_torch_calls(observer: Observer, auto: Any) -> None:
    """What gives or takes tensors of torch, which only the process that loads a model has."""
    _observe_forms(observer, auto, auto.encode(PRICE, add_special_tokens=False), with_torch=True)
    for case, given in (("torch_of_one_text", PRICE), ("torch_padded", ["Hi", PRICE])):
        tensors = {"return_tensors": "pt", "padding": isinstance(given, list)}
        _observe_result(observer, "__call__", case, partial(auto, given, **tensors))


def _observe_result(observer: Observer, call: str, case: str, work: Callable[[], Any]) -> None:
    observer.attempt("calls", call, case, lambda: typed(work()))


def _observe_forms(observer: Observer, auto: Any, ids: list[int], with_torch: bool) -> None:
    """The ids back to text, in every form that they come in."""
    for form in IDS:
        if ("torch" in form) == with_torch:
            work = lambda form=form: auto.decode(in_form(form, ids))  # noqa: E731
            _observe_result(observer, "decode", form, work)
    for form in _ROWS:
        if ("torch" in form) == with_torch:
            work = lambda form=form: auto.batch_decode(rows_in_form(form, ids))  # noqa: E731
            _observe_result(observer, "batch_decode", form, work)


def _result(auto: Any, one: PublicCall, names: dict[str, Any]) -> Any:
    if one.pad:
        auto.pad_token = auto.eos_token
    member = getattr(auto, one.call)
    if one.attribute:
        return typed(member)
    arguments, given = _filled([list(one.arguments), one.given], names)
    return typed(member(*arguments, **given))


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

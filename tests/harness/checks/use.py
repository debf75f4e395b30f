"""Checks that use leaves no trace: in later calls, saved files and other threads."""

import threading
from pathlib import Path
from typing import Any

from ..errors import fail_unjudged
from ..tokenizer.copies import PRICE, SAMPLES, SENTENCE, kept_folder, own_copy, restored
from ..tokenizer.loaded import LoadedTokenizer, load_auto
from ..tokenizer.settings import plain
from ..tokenizer.tokenizer_json import tokenizer_json
from ..tokenizer.uses import (
    ALONE,
    USES,
    added_tokens_of,
    pipeline_of,
    probes,
    saved_files,
    settings_of,
)
from .tokenizer import check_ids, check_value, must_work

TRACES = (*ALONE, "all_other_uses")
_TRACING = (
    *ALONE,
    *("truncation", "padding", "truncated_encode", "windows", "padded_batch", "cut_chat"),
)
# What another thread does while a call is under way, and the tokens it leaves of the sentence.
BESIDE: dict[str, dict[str, Any]] = {
    "plain": {},
    "no_special_tokens": {"add_special_tokens": False},
    "truncating": {"truncation": True, "max_length": 4},
    "padding": {"padding": "max_length", "max_length": 40},
}
_SECONDS = 5  # for a call in a thread; a library that locks makes it wait for ours
SAVED = ("ids", "raw ids", "pipeline", "settings", "added tokens")


def _with_pad(auto: Any) -> None:
    """Pad = eos where the model has none, as the task sets it."""
    auto.pad_token = auto.pad_token or auto.eos_token


def check_calls_repeat(tokenizer: LoadedTokenizer, use: str) -> None:
    """Fail unless equal calls give equal results with a use between them."""
    auto = own_copy(tokenizer)
    with restored(auto):
        _with_pad(auto)
        before = probes(auto)
        with must_work(tokenizer, use, f"the use {use!r}"):
            USES[use](auto)
        after = probes(auto)
    whole, kept = tokenizer.whole(plain(tokenizer, SENTENCE)), "an earlier use changed it"
    check_ids(tokenizer, use, "ids before this use", before["ids"], whole, kept)
    cause = f"{use!r} changes the tokenizer"
    check_ids(tokenizer, use, "ids after this use", after["ids"], before["ids"], cause)
    for name, right in before.items():
        check_value(tokenizer, f"{name} after {use!r}, not as before", after[name], right, cause)


def _traces(tokenizer: LoadedTokenizer) -> dict[str, dict[str, Any]]:
    """The files saved before any use, and after each of TRACES; saved once a session.

    Under the empty name is the folder they are in.
    """
    known: dict[str, dict[str, Any]] | None = vars(tokenizer).get("traces")
    if known is None:
        auto, known = own_copy(tokenizer), {}
        for trace in ("nothing", *TRACES):
            folder = kept_folder(f"{tokenizer.key}-{trace}-saved-")
            with restored(auto):
                _with_pad(auto)
                others = [use for use in USES if use not in _TRACING]
                for use in [trace] if trace in USES else others if trace in TRACES else []:
                    USES[use](auto)
                known[trace] = saved_files(auto, folder) | {"": folder}
        vars(tokenizer)["traces"] = known
    return known


def check_saved_files(tokenizer: LoadedTokenizer, trace: str) -> None:
    """Fail unless files saved after use are those saved before it."""
    before, after = (
        {name: file for name, file in _traces(tokenizer)[which].items() if name}
        for which in ("nothing", trace)
    )
    cause = "a call's own limits are kept in the tokenizer, and saved with it"
    check_value(tokenizer, f"files saved after {trace}", sorted(after), sorted(before), cause)
    for name, right in before.items():
        for key in right if isinstance(right, dict) else ():
            what = f"{name} saved after {trace}: {key}"
            check_value(tokenizer, what, after[name].get(key), right[key], cause)
        check_value(tokenizer, f"{name} saved after {trace}", after[name], right, cause)


def check_threads(tokenizer: LoadedTokenizer, beside: str) -> None:
    """Fail unless a call gets its own ids while another thread makes another call.

    The other call is made just when ours has told the backend how to cut and pad: where the
    library keeps that in the shared tokenizer, this is the moment at which threads collide.
    """
    auto, text = own_copy(tokenizer), PRICE if beside == "padding" else SENTENCE
    met: list[str] = []
    with restored(auto):
        _with_pad(auto)
        prepare = auto.set_truncation_and_padding

        def interrupted(*args: Any, **given: Any) -> None:
            prepare(*args, **given)
            if not met:
                met.append(beside)
                other = threading.Thread(target=auto, args=(SENTENCE,), kwargs=BESIDE[beside])
                other.start()
                other.join(_SECONDS)

        auto.set_truncation_and_padding = interrupted
        got = auto(text)["input_ids"]
    if not met:
        fail_unjudged(
            f"{tokenizer.key} threads",
            "set_truncation_and_padding was never called: this version cuts and pads elsewhere, "
            "and the collision must be forced there",
        )
    right = tokenizer.whole(plain(tokenizer, text))
    what = f"ids of a plain call while another thread is {beside}"
    cause = "truncation and padding are state of the shared tokenizer: one copy a thread is safe"
    check_ids(tokenizer, "threads", what, got, right, cause)


def _reloaded(tokenizer: LoadedTokenizer) -> tuple[Any, Path]:
    """The tokenizer that AutoTokenizer makes of the saved copy, and the folder; once a session."""
    folder: Path = _traces(tokenizer)["nothing"][""]
    if "reloaded" not in vars(tokenizer):
        vars(tokenizer)["reloaded"] = load_auto(folder)
    return vars(tokenizer)["reloaded"], folder


def check_reloaded(tokenizer: LoadedTokenizer, part: str) -> None:
    """Fail unless a saved tokenizer loads as it was, with AutoTokenizer and by its file alone."""
    auto = own_copy(tokenizer)
    with must_work(tokenizer, part, "loading what save_pretrained wrote"):
        again, folder = _reloaded(tokenizer)
    cause = "save_pretrained leaves it out, or loading reads it otherwise"
    if part in ("ids", "raw ids"):
        raw = tokenizer_json(folder / "tokenizer.json").tokenizer if part == "raw ids" else None
        for text in SAMPLES:
            got = raw.encode(text).ids if raw else again(text)["input_ids"]
            right = tokenizer.whole(plain(tokenizer, text))
            check_ids(tokenizer, repr(text), f"saved and reloaded: {part}", got, right, cause)
        return
    read = {"pipeline": pipeline_of, "settings": settings_of, "added tokens": added_tokens_of}[part]
    with restored(auto):
        _with_pad(auto)  # as it was saved
        got_parts, right_parts = read(again), read(auto)
    for name, value in right_parts.items():
        if name in ("number of tokens", "all_special_ids") or part == "added tokens":
            continue  # other tests add tokens to the copy meanwhile
        what = f"saved and reloaded: {name}"
        check_value(tokenizer, what, got_parts.get(name), value, cause)
    if part == "added tokens":
        declared = added_tokens_of(tokenizer.transformers)
        for index, token in declared.items():
            what = f"saved and reloaded: added token {index}"
            check_value(tokenizer, what, got_parts.get(index), token, cause)

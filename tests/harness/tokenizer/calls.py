"""The calls that `fixtures/calls.json` names, each of which gives plain lists, and forms of ids."""

from collections.abc import Callable
from typing import Any

from ..data.cases import conversations


def _chat_lengths(auto: Any, case: str) -> list[int]:
    """Ids of a conversation up to its last answer, and of all of it, by the call's defaults."""
    messages = [dict(message) for message in conversations()[case].messages]
    prompt = auto.apply_chat_template(messages[:-1], add_generation_prompt=True)
    whole = auto.apply_chat_template(messages)
    return [len(one["input_ids"] if hasattr(one, "keys") else one) for one in (prompt, whole)]


def _marker_position(auto: Any, marker: str, text: str) -> int | None:
    """Where the ids of a text hold those of a marker, as collators look for it."""
    ids, wanted = (auto.encode(each, add_special_tokens=False) for each in (text, marker))
    places = range(len(ids) - len(wanted) + 1)
    return next((at for at in places if ids[at : at + len(wanted)] == wanted), None)


def _words(auto: Any, words: list[str]) -> Any:
    return auto(words, is_split_into_words=True)


def _windows(auto: Any, text: str, max_length: int, stride: int) -> Any:
    cut = {"truncation": True, "max_length": max_length, "stride": stride}
    return auto(text, return_overflowing_tokens=True, **cut)["input_ids"]


def _token_of_character(auto: Any, text: str) -> Any:
    encoded = auto(text)
    return [encoded.char_to_token(position) for position in range(len(text))]


CALLS: dict[str, Callable[..., Any]] = {
    "pair": lambda auto, first, second: auto(first, second)["input_ids"],
    "words": lambda auto, words: _words(auto, words)["input_ids"],
    "word_ids": lambda auto, words: _words(auto, words).word_ids(),
    "windows": _windows,
    "batch_decode": lambda auto, ids: auto.batch_decode(ids),
    "token_of_character": _token_of_character,
    "chat_lengths": _chat_lengths,
    "marker_position": _marker_position,
}

# The forms in which ids are given to `decode` and `batch_decode`.
IDS = ("int", "list", "numpy_int", "numpy_array", "torch_scalar", "torch_tensor")
ALONE = ("int", "numpy_int", "torch_scalar")  # forms of one id
BATCHES = {
    "flat": ("flat", "flat_numpy", "flat_torch"),
    "rows": ("rows_of_one", "ragged", "numpy", "torch"),
    "none": ("none",),
}


def in_form(form: str, ids: list[int]) -> Any:
    """One of IDS: all ids, or the first; ImportError where there is no torch for a form of it."""
    import numpy

    match form:
        case "int":
            return ids[0]
        case "numpy_int":
            return numpy.int64(ids[0])
        case "numpy_array":
            return numpy.array(ids)
        case "torch_scalar" | "torch_tensor":
            import torch

            return torch.tensor(ids[0] if form in ALONE else ids)
        case _:
            return ids


def rows_in_form(form: str, ids: list[int]) -> Any:
    """One of the forms of BATCHES; ImportError as above."""
    import numpy

    match form:
        case "rows_of_one":
            return [[token_id] for token_id in ids]
        case "ragged":
            return [ids, ids[:1], []]
        case "flat_numpy" | "numpy":
            return numpy.array(ids if form.startswith("flat") else [ids, ids])
        case "flat_torch" | "torch":
            import torch

            return torch.tensor(ids if form.startswith("flat") else [ids, ids])
        case "none":
            return []
        case _:
            return ids

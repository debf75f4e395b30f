"""The calls that `fixtures/calls.json` names: each gives plain lists."""

from collections.abc import Callable
from typing import Any


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
}

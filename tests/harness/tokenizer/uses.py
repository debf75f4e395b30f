"""What people do with a tokenizer, and what it says of itself: neither may change by use."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .copies import PRICE, SENTENCE
from .frames import function_of
from .settings import ATTRIBUTES
from .tokenizer_json import pipeline

_CHAT = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello there"}]
_TOOL = function_of("f", "d", "p", "m")


def _chat(auto: Any, **given: Any) -> Any:
    """Nothing for a model without a template."""
    if auto.chat_template is None:
        return None
    result = auto.apply_chat_template([dict(turn) for turn in _CHAT], **given)
    return dict(result) if hasattr(result, "keys") else result


def _chat_with_tools(auto: Any) -> Any:
    try:
        return _chat(auto, tokenize=False, tools=[_TOOL])
    except Exception:  # refused by a template for no functions: no use at all
        return None


def _words(auto: Any) -> Any:
    try:
        return auto(["Price", "is"], is_split_into_words=True)
    except AssertionError:  # refused by versions that want another prefix: no use at all
        return None


# Each a call that changes nothing; pad is set before, as the task sets it.
USES: dict[str, Callable[[Any], Any]] = {
    "truncation": lambda auto: auto(SENTENCE, truncation=True, max_length=8),
    "truncated_encode": lambda auto: auto.encode(SENTENCE, truncation=True, max_length=3),
    "windows": lambda auto: auto(
        SENTENCE, truncation=True, max_length=6, stride=2, return_overflowing_tokens=True
    ),
    "padding": lambda auto: auto("a b", padding="max_length", max_length=20),
    "truncation_and_padding": lambda auto: auto(
        SENTENCE, truncation=True, padding="max_length", max_length=8
    ),
    "padded_batch": lambda auto: auto(["a", SENTENCE], padding=True),
    "padding_of_ids": lambda auto: auto.pad({"input_ids": [[1], [1, 2]]}),
    "plain": lambda auto: auto(PRICE),
    "pair": lambda auto: auto("hello", "world"),
    "words": _words,
    "no_special_tokens": lambda auto: auto(PRICE, add_special_tokens=False),
    "split_special_tokens": lambda auto: auto(f"a{auto.eos_token}b", split_special_tokens=True),
    "tensors": lambda auto: auto(PRICE, return_tensors="np"),
    "offsets": lambda auto: auto(PRICE, return_offsets_mapping=True, return_length=True),
    "decode": lambda auto: auto.decode([auto.eos_token_id, 5], skip_special_tokens=True),
    "decode_with_clean_up": lambda auto: auto.decode([5], clean_up_tokenization_spaces=True),
    "tokenize": lambda auto: auto.tokenize("hello", add_special_tokens=True),
    "convert": lambda auto: auto.convert_tokens_to_ids(["(unknown)", auto.eos_token]),
    "chat": lambda auto: _chat(auto, tokenize=True),
    "cut_chat": lambda auto: _chat(auto, tokenize=True, truncation=True, max_length=3),
    "chat_with_tools": _chat_with_tools,
    "other_template": lambda auto: _chat(auto, tokenize=False, chat_template="{{ 1 }}"),
    "vocabulary": lambda auto: auto.get_added_vocab(),
}
# What leaves a trace that others need not: the rest is used in one go.
ALONE = ("truncation_and_padding",)


def probes(auto: Any) -> dict[str, Any]:
    """Equal calls, one of each kind, as plain lists."""
    eos = auto.eos_token_id
    return {
        "ids": auto(SENTENCE)["input_ids"],
        "ids by encode": auto.encode(PRICE),
        "ids of a batch": auto([PRICE, "a"])["input_ids"],
        "ids of a pair": auto("hello", "world")["input_ids"],
        "padded ids": auto("a", padding="max_length", max_length=6)["input_ids"],
        "text of ids": auto.decode([eos, *auto.encode(PRICE, add_special_tokens=False)]),
        "prompt": _chat(auto, tokenize=False),
        "ids of a prompt": _chat(auto, tokenize=True),
        "settings": settings_of(auto),
    }


def settings_of(auto: Any) -> dict[str, Any]:
    """Sides, limits, special tokens and template, as the tokenizer says."""
    return {name: getattr(auto, name) for name in (*ATTRIBUTES, "chat_template")} | {
        "all_special_ids": sorted(auto.all_special_ids),
        "number of tokens": len(auto),
    }


def added_tokens_of(auto: Any) -> dict[str, dict[str, Any]]:
    """Content and flags of the added tokens by id."""
    flags = ("content", "single_word", "lstrip", "rstrip", "normalized", "special")
    return {
        str(index): {flag: getattr(token, flag) for flag in flags}
        for index, token in auto.added_tokens_decoder.items()
    }


def pipeline_of(auto: Any) -> dict[str, Any]:
    """The loaded pipeline, part by part."""
    return pipeline(auto.backend_tokenizer)


def saved_files(auto: Any, folder: Path) -> dict[str, Any]:
    """What `save_pretrained` writes, JSON as values; a model's vocabulary and merges as text."""
    auto.save_pretrained(str(folder))
    files: dict[str, Any] = {}
    for path in sorted(folder.iterdir()):
        text = path.read_text(encoding="utf-8")
        head, mark, model = text.partition('"model": {')
        if path.name == "tokenizer.json" and mark:  # large: parsed only up to here
            files[path.name] = json.loads(head.rstrip().rstrip(",") + "}") | {"model": model}
        else:
            files[path.name] = json.loads(text) if path.suffix == ".json" else text
    return files

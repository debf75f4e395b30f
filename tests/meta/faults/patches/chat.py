"""Faults in what `apply_chat_template` makes of a conversation."""

import json
from typing import Any

from transformers.tokenization_utils_base import PreTrainedTokenizerBase as Base

from .places import Function, change_result, replace


def chat_returns_bare_ids() -> None:
    """As before 5.0: a list where a BatchEncoding is asked for."""
    change_result(
        Base,
        "apply_chat_template",
        lambda result: result if isinstance(result, str) else result["input_ids"],
    )


def chat_returns_nested_ids() -> None:
    """One conversation comes back as a batch of one."""

    def nest(result: Any) -> Any:
        if not isinstance(result, str):
            result["input_ids"] = [result["input_ids"]]
        return result

    change_result(Base, "apply_chat_template", nest)


def chat_adds_special_tokens() -> None:
    """The rendered prompt is encoded with a BOS of its own, in front of the template's."""

    def double(result: Any) -> Any:
        if not isinstance(result, str):
            result["input_ids"] = [result["input_ids"][0], *result["input_ids"]]
        return result

    change_result(Base, "apply_chat_template", double)


def rendered_text_trimmed() -> None:
    """A rendering that trims the prompt."""
    change_result(
        Base,
        "apply_chat_template",
        lambda result: result.strip() if isinstance(result, str) else result,
    )


def first_turn_lost() -> None:
    """A rendering that drops the first of several messages."""

    def make(right: Function) -> Function:
        def faulty(self: Any, conversation: Any, *args: Any, **given: Any) -> Any:
            return right(self, conversation[-3:], *args, **given)

        return faulty

    replace(Base, "apply_chat_template", make)


def chat_loses_the_last_id() -> None:
    """One id less than the text has."""

    def cut(result: Any) -> Any:
        if not isinstance(result, str):
            result["input_ids"] = result["input_ids"][:-1]
        return result

    change_result(Base, "apply_chat_template", cut)


def json_changed(**options: Any) -> None:
    """Another JSON than the library's own: `json.dumps` with these options over its."""

    def make(right: Function) -> Function:
        return lambda *args, **given: right(*args, **given | options)

    replace(json, "dumps", make)


def numbers_are_text() -> None:
    """Messages whose numbers become texts, as a strict client writes a price."""

    def changed(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: changed(member) for name, member in value.items()}
        return str(value) if isinstance(value, float) else value

    def make(right: Function) -> Function:
        def faulty(self: Any, conversation: Any, *args: Any, **given: Any) -> Any:
            return right(self, [changed(turn) for turn in conversation], *args, **given)

        return faulty

    replace(Base, "apply_chat_template", make)


def empty_functions_dropped() -> None:
    """An empty list of functions is dropped."""

    def make(right: Function) -> Function:
        def faulty(*args: Any, **given: Any) -> Any:
            return right(*args, **{**given, "tools": given.get("tools") or None})

        return faulty

    replace(Base, "apply_chat_template", make)


def functions_begin_twice() -> None:
    """The ids of a prompt with functions have BOS twice in front."""

    def make(right: Function) -> Function:
        def faulty(self: Any, *args: Any, **given: Any) -> Any:
            result = right(self, *args, **given)
            if given.get("tools") and not isinstance(result, str):
                result["input_ids"] = [self.bos_token_id, *result["input_ids"]]
            return result

        return faulty

    replace(Base, "apply_chat_template", make)

"""Faults that are no more than an argument of a tokenizer's method lost or overruled."""

from typing import Any

from transformers import PreTrainedTokenizerFast as Fast
from transformers.tokenization_utils_base import PreTrainedTokenizerBase as Base

from .places import Function, replace


def _class_of(method: str) -> Any:
    return Base if method == "apply_chat_template" else Fast


def swallowed(method: str, keyword: str) -> None:
    """A keyword argument without effect."""

    def without(right: Function) -> Function:
        return lambda *args, **given: right(
            *args, **{name: value for name, value in given.items() if name != keyword}
        )

    replace(_class_of(method), method, without, (keyword,), when=lambda given: keyword in given)


def overruled(method: str, **values: Any) -> None:
    """Values that win over what is asked for, as a moved default does over nothing."""

    def with_values(right: Function) -> Function:
        return lambda *args, **given: right(*args, **given | values)

    replace(_class_of(method), method, with_values, tuple(values))

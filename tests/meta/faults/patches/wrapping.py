"""Ways to change a library for the rest of the process, and the faults that are just that."""

from collections.abc import Callable
from typing import Any

from transformers import PreTrainedTokenizerFast as Fast
from transformers.tokenization_utils_base import PreTrainedTokenizerBase as Base

Wrapped = Callable[..., Any]


def wrap(kind: type, name: str, wrapper: Callable[[Wrapped], Wrapped]) -> None:
    """Put a wrapper round a method, for all classes that inherit it."""
    setattr(kind, name, wrapper(getattr(kind, name)))


def changing(kind: type, name: str, change: Callable[[Any], Any]) -> None:
    """Change what a method returns."""
    wrap(kind, name, lambda method: lambda *args, **given: change(method(*args, **given)))


def kind_of(method: str) -> Any:
    """The class that defines a method of tokenizers."""
    return Base if method == "apply_chat_template" else Fast


def swallowed(method: str, keyword: str) -> None:
    """A keyword argument without effect."""

    def wrapper(right: Wrapped) -> Wrapped:
        return lambda *args, **given: right(
            *args, **{word: value for word, value in given.items() if word != keyword}
        )

    wrap(kind_of(method), method, wrapper)


def overruled(method: str, **values: Any) -> None:
    """Values that win over what is asked for, as a moved default does over nothing."""
    wrap(
        kind_of(method), method, lambda right: lambda *args, **given: right(*args, **given | values)
    )

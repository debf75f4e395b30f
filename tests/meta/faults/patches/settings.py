"""Faults in the arguments of a tokenizer, and in what setting or adding something changes."""

from collections.abc import Callable
from typing import Any

from tokenizers import processors
from transformers import AutoTokenizer
from transformers import PreTrainedTokenizerFast as Fast
from transformers.tokenization_utils_base import PreTrainedTokenizerBase as Base

from .places import Function, change_result, replace, set_existing


def after_setting(name: str, also: str, value: Any) -> None:
    """Setting one attribute sets another, too."""

    def make(right: Function) -> Function:
        def faulty(self: Any, key: str, given: Any) -> None:
            right(self, key, given)
            if key == name:
                right(self, also, value)

        return faulty

    replace(Base, "__setattr__", make)


def post_processor_after_setting(name: str, template: str) -> None:
    """Setting an attribute builds another post-processor; `template` is its single form."""

    def make(right: Function) -> Function:
        def faulty(self: Any, key: str, given: Any) -> None:
            right(self, key, given)
            if key == name:
                words = {word for word in template.split() if not word.startswith("$")}
                ids = [(word, self.backend_tokenizer.token_to_id(word)) for word in words]
                new = processors.TemplateProcessing(single=template, special_tokens=ids)
                self.backend_tokenizer.post_processor = new

        return faulty

    replace(Base, "__setattr__", make)


def argument_swallowed(name: str) -> None:
    """`from_pretrained` ignores an argument."""

    def make(right: Function) -> Function:
        return lambda *args, **given: right(
            *args, **{key: value for key, value in given.items() if key != name}
        )

    replace(AutoTokenizer, "from_pretrained", make, when=lambda given: name in given)


def argument_refused(name: str) -> None:
    """`from_pretrained` raises on an argument."""

    def make(right: Function) -> Function:
        def faulty(*args: Any, **given: Any) -> Any:
            if name in given:
                raise TypeError("got an unexpected keyword argument")
            return right(*args, **given)

        return faulty

    replace(AutoTokenizer, "from_pretrained", make, when=lambda given: name in given)


def argument_also_sets(name: str, also: str, value: Any) -> None:
    """`from_pretrained` with an argument sets something else, too."""

    def make(right: Function) -> Function:
        def faulty(*args: Any, **given: Any) -> Any:
            tokenizer = right(*args, **given)
            if name in given:
                setattr(tokenizer, also, value)
            return tokenizer

        return faulty

    replace(AutoTokenizer, "from_pretrained", make, when=lambda given: name in given)


def argument_drops_normalizer(name: str) -> None:
    """`from_pretrained` with an argument converts the tokenizer in another way."""

    def make(right: Function) -> Function:
        def faulty(*args: Any, **given: Any) -> Any:
            tokenizer = right(*args, **given)
            if name in given:
                tokenizer.backend_tokenizer.normalizer = None
            return tokenizer

        return faulty

    replace(AutoTokenizer, "from_pretrained", make, when=lambda given: name in given)


def flag_reads(name: str, value: bool) -> None:
    """A flag that says what is not so, once loaded."""
    change_result(
        AutoTokenizer,
        "from_pretrained",
        lambda auto: vars(auto).update({f"_{name}": value}) or auto,
    )


def _adding_changed(make: Callable[[Function], Function]) -> None:
    """Replace `add_tokens` of loaded tokenizers: loading itself adds tokens, too."""

    def changed(auto: Any) -> Any:
        set_existing(auto, "add_tokens", make(auto.add_tokens))
        return auto

    change_result(AutoTokenizer, "from_pretrained", changed)


def adding_adds_another() -> None:
    """A token in front of the one that is added."""

    def make(right: Function) -> Function:
        def faulty(tokens: Any, *args: Any, **given: Any) -> Any:
            right(["<|gap|>"], special_tokens=True)
            return right(tokens, *args, **given)

        return faulty

    _adding_changed(make)


def added_tokens_are_special() -> None:
    """Plain tokens that are added as special ones."""

    def make(right: Function) -> Function:
        def faulty(tokens: Any, *args: Any, **given: Any) -> Any:
            return right([str(token) for token in tokens], special_tokens=True)

        return faulty

    _adding_changed(make)


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

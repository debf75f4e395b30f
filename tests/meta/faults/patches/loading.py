"""Faults in what `AutoTokenizer` makes of a folder."""

from collections.abc import Callable
from typing import Any

from tokenizers import AddedToken, decoders, pre_tokenizers, processors
from transformers import AutoTokenizer


def after_loading(change: Callable[[Any], None]) -> None:
    """Change every tokenizer that `AutoTokenizer` loads from now on."""
    load = AutoTokenizer.from_pretrained

    def faulty(*args: Any, **given: Any) -> Any:
        tokenizer = load(*args, **given)
        change(tokenizer)
        return tokenizer

    AutoTokenizer.from_pretrained = faulty


def setting_moved(name: str, value: Any) -> None:
    """A default of the library that wins over the file."""
    after_loading(lambda it: setattr(it, name, value))


def pre_tokenizer_rebuilt() -> None:
    """As GPT2Tokenizer does for StarCoder2 in transformers 5: byte level, and no digits."""

    def rebuild(tokenizer: Any) -> None:
        tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)

    after_loading(rebuild)


def pre_tokenizer_added() -> None:
    """A class that adds a word splitter to a SentencePiece model."""

    def add(tokenizer: Any) -> None:
        tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()

    after_loading(add)


def normalizer_dropped() -> None:
    """A class that does not take the file's normalizer over."""
    after_loading(lambda it: setattr(it.backend_tokenizer, "normalizer", None))


def decoder_replaced() -> None:
    """A class that decodes in its own way."""
    after_loading(lambda it: setattr(it.backend_tokenizer, "decoder", decoders.Fuse()))


def bos_dropped_while_loading() -> None:
    """A class that builds its own post-processor."""
    own = processors.ByteLevel(trim_offsets=False)
    after_loading(lambda it: setattr(it.backend_tokenizer, "post_processor", own))


def token_added_while_loading() -> None:
    """A class that adds a token of its own."""
    after_loading(lambda it: it.add_special_tokens({"additional_special_tokens": ["<own>"]}))


def flags_lost_while_loading() -> None:
    """A class that adds the special tokens again, with default flags."""
    after_loading(
        lambda it: it.add_tokens([AddedToken("<|end|>", special=True)], special_tokens=True)
    )


def first_tokenizer_again() -> None:
    """A cache of the library that does not look at the folder."""
    load, kept = AutoTokenizer.from_pretrained, []

    def faulty(*args: Any, **given: Any) -> Any:
        kept.append(load(*args, **given))
        return kept[0]

    AutoTokenizer.from_pretrained = faulty

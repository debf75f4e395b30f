"""Faults in what `AutoTokenizer` makes of a folder."""

from collections.abc import Callable
from typing import Any

from tokenizers import AddedToken, decoders, pre_tokenizers, processors
from transformers import AutoTokenizer

from .places import change_result, set_existing


def after_loading(change: Callable[[Any], None]) -> None:
    """Change every tokenizer that `AutoTokenizer` loads from now on."""

    def changed(tokenizer: Any) -> Any:
        change(tokenizer)
        return tokenizer

    change_result(AutoTokenizer, "from_pretrained", changed)


def setting_moved(name: str, value: Any) -> None:
    """A default of the library that wins over the file."""
    after_loading(lambda tokenizer: set_existing(tokenizer, name, value))


def part_changed(name: str, part: Any) -> None:
    """Another part of the pipeline than the file's."""
    after_loading(lambda tokenizer: set_existing(tokenizer.backend_tokenizer, name, part))


def pre_tokenizer_rebuilt() -> None:
    """As GPT2Tokenizer does for StarCoder2 in transformers 5: byte level, and no digits."""
    part_changed("pre_tokenizer", pre_tokenizers.ByteLevel(add_prefix_space=False))


def pre_tokenizer_added() -> None:
    """A class that adds a word splitter to a SentencePiece model."""
    part_changed("pre_tokenizer", pre_tokenizers.Metaspace())


def normalizer_dropped() -> None:
    """A class that does not take the file's normalizer over."""
    part_changed("normalizer", None)


def decoder_replaced() -> None:
    """A class that decodes in its own way."""
    part_changed("decoder", decoders.Fuse())


def bos_dropped_while_loading() -> None:
    """A class that builds its own post-processor."""
    part_changed("post_processor", processors.ByteLevel(trim_offsets=False))


def token_added_while_loading() -> None:
    """A class that adds a token of its own."""
    after_loading(
        lambda tokenizer: tokenizer.add_special_tokens({"additional_special_tokens": ["<own>"]})
    )


def flags_lost_while_loading() -> None:
    """A class that adds the special tokens again, with default flags."""
    after_loading(
        lambda tokenizer: tokenizer.add_tokens(
            [AddedToken("<|end|>", special=True)], special_tokens=True
        )
    )


def first_tokenizer_again() -> None:
    """A cache of the library that does not look at the folder."""
    kept: list[Any] = []

    def first(tokenizer: Any) -> Any:
        kept.append(tokenizer)
        return kept[0]

    change_result(AutoTokenizer, "from_pretrained", first)

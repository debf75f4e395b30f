"""Faults in encoding and decoding, of single texts and of batches."""

from collections.abc import Callable
from typing import Any

from tokenizers import decoders
from transformers import PreTrainedTokenizerFast as Fast

from .places import Function, change_result, replace, set_existing


def decode_cleans_up() -> None:
    """As decode did where the file says clean_up_tokenization_spaces = true."""
    change_result(Fast, "_decode", lambda text: text.replace(" !=", "!=").replace(" .", "."))


def decode_strips() -> None:
    """A decode that trims the text."""
    change_result(Fast, "_decode", lambda text: text.strip())


def encoding_edited(change: Callable[[Any], None]) -> None:
    """Change what a call of the tokenizer returns, in place."""

    def edited(result: Any) -> Any:
        change(result)
        return result

    change_result(Fast, "_encode_plus", edited)


def is_batch(result: Any) -> bool:
    """Whether a call returned several texts."""
    return bool(result["input_ids"]) and isinstance(result["input_ids"][0], list)


def batch_loses_a_token() -> None:
    """A batch that cuts each text by one id."""

    def cut(result: Any) -> None:
        if is_batch(result):
            result["input_ids"] = [ids[:-1] if len(ids) > 1 else ids for ids in result["input_ids"]]

    encoding_edited(cut)


def batch_is_out_of_order() -> None:
    """Workers that return texts in another order."""

    def turn(result: Any) -> None:
        if is_batch(result):
            result["input_ids"] = result["input_ids"][::-1]

    encoding_edited(turn)


def offsets_shifted() -> None:
    """Offsets in front of which the leading space is not counted."""

    def shift(result: Any) -> None:
        if "offset_mapping" in result and not is_batch(result):
            pairs = result["offset_mapping"]
            result["offset_mapping"] = [(start + 1, end) for start, end in pairs]

    encoding_edited(shift)


def mask_all_ones() -> None:
    """An attention mask that does not hide pads."""

    def fill(result: Any) -> None:
        if "attention_mask" in result and not is_batch(result):
            result["attention_mask"] = [1] * len(result["attention_mask"])

    encoding_edited(fill)


def mask_of_a_batch_all_ones() -> None:
    """The same, for batches alone: only texts that are padded together show it."""

    def fill(result: Any) -> None:
        if "attention_mask" in result and is_batch(result):
            result["attention_mask"] = [[1] * len(mask) for mask in result["attention_mask"]]

    encoding_edited(fill)


def truncation_cuts_the_other_end() -> None:
    """truncation_side that is read the wrong way round."""

    def make(right: Function) -> Function:
        def faulty(self: Any, *args: Any, **given: Any) -> Any:
            side = self.truncation_side
            set_existing(self, "truncation_side", "left" if side == "right" else "right")
            try:
                return right(self, *args, **given)
            finally:
                self.truncation_side = side

        return faulty

    replace(Fast, "_encode_plus", make)


def stream_cleans_up() -> None:
    """Streaming that drops what a single id cannot show alone."""

    class Faulty:
        def __init__(self, **given: Any) -> None:
            self.tokens: list[int] = []
            self.skip = given.get("skip_special_tokens", False)

        def step(self, tokenizer: Any, token: int) -> str:
            text: str = tokenizer.decode([token], skip_special_tokens=self.skip)
            return text

    replace(decoders, "DecodeStream", lambda _: Faulty)

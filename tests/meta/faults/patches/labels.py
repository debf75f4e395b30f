"""Faults in what training makes of ids: where answers begin, and which labels are kept."""

from typing import Any

from transformers import DataCollatorForLanguageModeling, DataCollatorForSeq2Seq
from transformers import PreTrainedTokenizerFast as Fast
from transformers.tokenization_utils_base import PreTrainedTokenizerBase as Base

from .encoding import encoding_edited, is_batch
from .places import Function, change_result, replace


def prompt_ids_end_early() -> None:
    """Ids of a prompt with generation prompt, without the last one; the text keeps it."""

    def make(right: Function) -> Function:
        def faulty(*args: Any, **given: Any) -> Any:
            result = right(*args, **given)
            if given.get("add_generation_prompt") and not isinstance(result, str):
                result["input_ids"] = [*result["input_ids"][:-1], 13 + 18]
            return result

        return faulty

    replace(Base, "apply_chat_template", make)


def digits_merge(first: int, second: int) -> None:
    """Of two ids in a row in a batch, one comes back: a merge that the prompt cannot know."""

    def merge(result: Any) -> None:
        if len(result["input_ids"]) == len(range(1, 1000)):  # the batch of all prices
            result["input_ids"] = [
                [each for at, each in enumerate(ids) if ids[at : at + 2] != [first, second]]
                for ids in result["input_ids"]
            ]

    encoding_edited(merge)


def default_moved(name: str, value: Any) -> None:
    """An argument of `apply_chat_template` that is not given gets another value."""

    def make(right: Function) -> Function:
        return lambda *args, **given: right(*args, **{name: value} | given)

    replace(Base, "apply_chat_template", make, (name,), when=lambda given: name not in given)


def collator_ignores_the_last(number: int) -> None:
    """Labels of the last ids of every row are ignored."""

    def ignore(batch: Any) -> Any:
        batch["labels"][:, -number:] = -100
        return batch

    change_result(DataCollatorForLanguageModeling, "torch_call", ignore)


def collator_labels_pads() -> None:
    """Pads keep a label."""

    def fill(batch: Any) -> Any:
        labels = batch["labels"]
        batch["labels"] = labels.masked_fill(labels == -100, 0)
        return batch

    change_result(DataCollatorForSeq2Seq, "__call__", fill)


def collator_ignores_pad_ids() -> None:
    """Labels are ignored by id, as the other collator does."""

    def ignore(batch: Any) -> Any:
        last = batch["input_ids"][0, -1]
        batch["labels"] = batch["labels"].masked_fill(batch["labels"] == last, -100)
        return batch

    change_result(DataCollatorForSeq2Seq, "__call__", ignore)


def assistant_mask_late() -> None:
    """The mask of answers is one token late."""

    def shift(result: Any) -> Any:
        if not isinstance(result, str) and "assistant_masks" in result:
            result["assistant_masks"] = [0, *result["assistant_masks"][:-1]]
        return result

    change_result(Base, "apply_chat_template", shift)


def cut_keeps_the_last_token() -> None:
    """Truncation to the right puts the text's last token at the end: the price in front is lost."""

    def make(right: Function) -> Function:
        def faulty(self: Any, text: Any, *args: Any, **given: Any) -> Any:
            result = right(self, text, *args, **given)
            ids = result["input_ids"]
            if given.get("max_length") == 182 and not is_batch(result) and len(ids) == 182:
                result["input_ids"] = [*ids[:-1], self.eos_token_id]
            return result

        return faulty

    replace(Fast, "_encode_plus", make)

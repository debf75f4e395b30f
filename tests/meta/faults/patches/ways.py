"""Faults in the ways in and out beside `encode` and `decode` of one text."""

from typing import Any

from transformers import BatchEncoding
from transformers import PreTrainedTokenizerFast as Fast
from transformers.tokenization_utils_base import PreTrainedTokenizerBase as Base

from .encoding import encoding_edited, is_batch
from .places import Function, change_result, replace


def _texts_changed(when: str, change: Any) -> None:
    """Encode other texts than those given, in calls with a keyword argument."""

    def make(right: Function) -> Function:
        def faulty(self: Any, text: Any, *args: Any, **given: Any) -> Any:
            if given.get(when):
                text, given = change(text, given)
            return right(self, text, *args, **given)

        return faulty

    replace(Fast, "_encode_plus", make, when=lambda given: bool(given.get(when)))


def pair_swapped() -> None:
    """The second text of a pair comes first."""
    _texts_changed(
        "text_pair", lambda text, given: (given["text_pair"], {**given, "text_pair": text})
    )


def words_joined() -> None:
    """Words of a list are joined by spaces."""

    def join(text: Any, given: dict[str, Any]) -> Any:
        if isinstance(text[0], str):
            return [" ".join(text)], given
        return [[" ".join(words)] for words in text], given

    _texts_changed("is_split_into_words", join)


def windows_lost() -> None:
    """Of a text that overflows, only the first windows come back."""

    def cut(result: Any) -> None:
        owners = result.get("overflow_to_sample_mapping")
        if owners is not None:
            kept = [i for i, owner in enumerate(owners) if i < 2 or owners[i - 2] != owner]
            for name in list(result):
                result[name] = [result[name][i] for i in kept]

    encoding_edited(cut)


def window_without_overlap() -> None:
    """The stride is read as zero."""
    _texts_changed("stride", lambda text, given: (text, {**given, "stride": 0}))


def empty_tensor_is_float() -> None:
    """A tensor of no ids has the default type of its library."""

    def cast(result: Any) -> None:
        ids = result["input_ids"]
        if hasattr(ids, "dtype") and 0 in ids.shape:
            result["input_ids"] = ids.float() if hasattr(ids, "float") else ids.astype("float64")

    encoding_edited(cast)


def tensor_row_dropped() -> None:
    """One text comes back without the dimension of the batch."""

    def flatten(result: Any) -> None:
        ids = result["input_ids"]
        if hasattr(ids, "dtype") and len(ids) == 1:
            result["input_ids"] = ids[0]

    encoding_edited(flatten)


def empty_batch_has_a_row() -> None:
    """A batch without texts is encoded as one empty text."""

    def make(right: Function) -> Function:
        def faulty(self: Any, text: Any, *args: Any, **given: Any) -> Any:
            return right(self, text if text != [] else [""], *args, **given)

        return faulty

    replace(Fast, "_encode_plus", make)


def decode_joins_only_lists() -> None:
    """One id is decoded to its token, in the spelling of the vocabulary."""

    def make(right: Function) -> Function:
        def faulty(self: Any, token_ids: Any, *args: Any, **given: Any) -> Any:
            if isinstance(token_ids, int):
                return self.convert_ids_to_tokens(token_ids)
            return right(self, token_ids, *args, **given)

        return faulty

    replace(Fast, "_decode", make)


def batch_decode_drops_empty_rows() -> None:
    """Texts that are empty are left out: rows no longer belong to their prompts."""
    change_result(Base, "batch_decode", lambda rows: [row for row in rows if row])


def unknown_token_is_first() -> None:
    """A token that is not in the vocabulary gets an id all the same."""
    change_result(
        Fast,
        "_convert_token_to_id_with_added_voc",
        lambda token_id: 5 if token_id in (None, 0) else token_id,
    )


def character_of_the_next_token() -> None:
    """Characters are counted from one."""
    change_result(BatchEncoding, "char_to_token", lambda token: token and token + 1)


def characters_of_a_pair() -> None:
    """In a pair, positions are always those of the first text."""

    def make(right: Function) -> Function:
        return lambda self, *args, **given: right(self, *args, **{**given, "sequence_index": 0})

    given_second = {"sequence_index": 1}.items()
    when = lambda given: given_second <= given.items()  # noqa: E731
    replace(BatchEncoding, "char_to_word", make, when=when)


def skipping_skips_added_tokens() -> None:
    """skip_special_tokens hides every added token, special or not."""

    def make(right: Function) -> Function:
        def faulty(
            self: Any, token_ids: Any, skip_special_tokens: bool = False, **given: Any
        ) -> Any:
            ids = token_ids if isinstance(token_ids, list) else [token_ids]
            if skip_special_tokens:
                ids = [each for each in ids if each not in self.added_tokens_decoder]
            return right(self, ids, **given)

        return faulty

    replace(Fast, "_decode", make)


def special_tokens_mask_is_empty() -> None:
    """The mask says that nothing was added."""

    def clear(result: Any) -> None:
        if "special_tokens_mask" in result and not is_batch(result):
            result["special_tokens_mask"] = [0] * len(result["special_tokens_mask"])

    encoding_edited(clear)

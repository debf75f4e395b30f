"""Faults planted in the running libraries: what a new version of them might do.

Each function changes transformers or tokenizers for the rest of the process.
"""

from collections.abc import Callable
from typing import Any

from tokenizers import decoders, pre_tokenizers
from transformers import AutoTokenizer
from transformers import PreTrainedTokenizerFast as Fast
from transformers.tokenization_utils_base import PreTrainedTokenizerBase as Base

Wrapped = Callable[..., Any]


def wrap(kind: type, name: str, wrapper: Callable[[Wrapped], Wrapped]) -> None:
    """Put a wrapper round a method, for all classes that inherit it."""
    setattr(kind, name, wrapper(getattr(kind, name)))


def after_loading(change: Callable[[Any], None]) -> None:
    """Change every tokenizer that `AutoTokenizer` loads from now on."""
    load = AutoTokenizer.from_pretrained

    def faulty(*args: Any, **given: Any) -> Any:
        tokenizer = load(*args, **given)
        change(tokenizer)
        return tokenizer

    AutoTokenizer.from_pretrained = faulty


def kind_of(method: str) -> type:
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


def setting_moved(name: str, value: Any) -> None:
    """A default of the library that wins over the file."""
    after_loading(lambda it: setattr(it, name, value))


def changing(kind: type, name: str, change: Callable[[Any], Any]) -> None:
    """Change what a method returns."""
    wrap(kind, name, lambda method: lambda *args, **given: change(method(*args, **given)))


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
    from tokenizers import processors

    own = processors.ByteLevel(trim_offsets=False)
    after_loading(lambda it: setattr(it.backend_tokenizer, "post_processor", own))


def token_added_while_loading() -> None:
    """A class that adds a token of its own."""
    after_loading(lambda it: it.add_special_tokens({"additional_special_tokens": ["<own>"]}))


def flags_lost_while_loading() -> None:
    """A class that adds the special tokens again, with default flags."""
    from tokenizers import AddedToken

    after_loading(
        lambda it: it.add_tokens([AddedToken("<|end|>", special=True)], special_tokens=True)
    )


def decode_cleans_up() -> None:
    """As decode did where the file says clean_up_tokenization_spaces = true."""
    changing(Fast, "_decode", lambda text: text.replace(" !=", "!=").replace(" .", "."))


def decode_strips() -> None:
    """A decode that trims the text."""
    changing(Fast, "_decode", lambda text: text.strip())


def encoding_edited(change: Callable[[Any], None]) -> None:
    """Change what a call of the tokenizer returns, in place."""

    def edited(result: Any) -> Any:
        change(result)
        return result

    changing(Fast, "_encode_plus", edited)


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

    def wrapper(method: Wrapped) -> Wrapped:
        def faulty(self: Any, *args: Any, **given: Any) -> Any:
            side = self.truncation_side
            self.truncation_side = "left" if side == "right" else "right"
            try:
                return method(self, *args, **given)
            finally:
                self.truncation_side = side

        return faulty

    wrap(Fast, "_encode_plus", wrapper)


def chat_returns_bare_ids() -> None:
    """As before 5.0: a list where a BatchEncoding is asked for."""
    changing(Base, "apply_chat_template", lambda it: it if isinstance(it, str) else it["input_ids"])


def chat_returns_nested_ids() -> None:
    """One conversation comes back as a batch of one."""

    def nest(result: Any) -> Any:
        if not isinstance(result, str):
            result["input_ids"] = [result["input_ids"]]
        return result

    changing(Base, "apply_chat_template", nest)


def chat_adds_special_tokens() -> None:
    """The rendered prompt is encoded with a BOS of its own, in front of the template's."""

    def double(result: Any) -> Any:
        if not isinstance(result, str):
            result["input_ids"] = [result["input_ids"][0], *result["input_ids"]]
        return result

    changing(Base, "apply_chat_template", double)


def rendered_text_trimmed() -> None:
    """A rendering that trims the prompt."""
    changing(Base, "apply_chat_template", lambda it: it.strip() if isinstance(it, str) else it)


def first_turn_lost() -> None:
    """A rendering that drops the first of several messages."""

    def wrapper(method: Wrapped) -> Wrapped:
        def faulty(self: Any, conversation: Any, *args: Any, **given: Any) -> Any:
            return method(self, conversation[-3:], *args, **given)

        return faulty

    wrap(Base, "apply_chat_template", wrapper)


def stream_cleans_up() -> None:
    """Streaming that drops what a single id cannot show alone."""
    from tokenizers import decoders

    stream = decoders.DecodeStream

    class Faulty:
        def __init__(self, **given: Any) -> None:
            self.tokens: list[int] = []
            self.skip = given.get("skip_special_tokens", False)

        def step(self, tokenizer: Any, token: int) -> str:
            text: str = tokenizer.decode([token], skip_special_tokens=self.skip)
            return text

    assert stream is not Faulty
    decoders.DecodeStream = Faulty


def chat_loses_the_last_id() -> None:
    """One id less than the text has."""

    def cut(result: Any) -> Any:
        if not isinstance(result, str):
            result["input_ids"] = result["input_ids"][:-1]
        return result

    changing(Base, "apply_chat_template", cut)


def first_tokenizer_again() -> None:
    """A cache of the library that does not look at the folder."""
    load, kept = AutoTokenizer.from_pretrained, []

    def faulty(*args: Any, **given: Any) -> Any:
        kept.append(load(*args, **given))
        return kept[0]

    AutoTokenizer.from_pretrained = faulty

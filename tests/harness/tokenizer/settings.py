"""What a tokenizer does under a setting, and what it should, from the registry and its file."""

from dataclasses import dataclass, replace
from typing import Any

from ..data.settings import EOS, Changes
from .copies import PRICE, SENTENCE, SPACED
from .loaded import LoadedTokenizer
from .pieces import lost_characters

REFUSED = "refused"  # what a call that must raise gives
_CUT, _PADS = 6, 3


@dataclass(frozen=True)
class Facts:
    """The facts that settings change."""

    front: tuple[int, ...]
    behind: tuple[int, ...]
    padding_side: str
    truncation_side: str
    model_max_length: int
    pad: int | None
    clean_up: bool
    splits_special: bool
    size: int  # tokens, added ones included


def own_facts(tokenizer: LoadedTokenizer, size: int) -> Facts:
    """The registry's; `size` is what the copy has, to which other tests may have added."""
    declared = tokenizer.spec.tokenizer
    return Facts(
        front=tuple(tokenizer.front),
        behind=tuple(tokenizer.behind),
        padding_side=declared.padding_side,
        truncation_side=declared.truncation_side,
        model_max_length=declared.model_max_length,
        pad=declared.pad,
        clean_up=declared.clean_up,
        splits_special=False,
        size=size,
    )


def with_changes(tokenizer: LoadedTokenizer, facts: Facts, changes: Changes) -> Facts:
    """The facts once a setting is made."""
    declared = tokenizer.spec.tokenizer
    ids = {"bos": declared.bos, "eos": declared.eos}
    new: dict[str, Any] = {}
    for name in Facts.__dataclass_fields__:
        value = getattr(changes, name, None)
        if value is None:
            continue
        if name in ("front", "behind"):
            value = tuple(ids[token] for token in value if ids[token] is not None)
        elif name == "pad":
            new |= {} if value == EOS else {"size": facts.size + 1}
            value = declared.eos if value == EOS else facts.size
        new[name] = value
    return replace(facts, **new)


def plain(tokenizer: LoadedTokenizer, text: str) -> list[int]:
    """A text's ids by the model's tokenizer.json alone, without special tokens."""
    ids: list[int] = tokenizer.tokenizers.encode(text, add_special_tokens=False).ids
    return ids


def read_back(tokenizer: LoadedTokenizer, text: str) -> str:
    """What decoding a text's ids must give: the text.

    Of a tokenizer that keeps no white space, or no case, it is what the file's own decoder gives,
    if that lacks no character of the normalized text.
    """
    if tokenizer.keeps_white_space:
        return text
    own = str(tokenizer.tokenizers.decode(plain(tokenizer, text), skip_special_tokens=False))
    return text if lost_characters(tokenizer, text, own) else own


def reads_typed_eos(tokenizer: LoadedTokenizer) -> bool:
    """Whether the file's model makes EOS of plain text, which no setting prevents.

    Unigram finds any piece of its vocabulary, BPE only what merges lead to.
    """
    eos = tokenizer.spec.tokenizer.eos
    if eos is None:  # the settings name one that tokenizer.json has not
        return False
    name = tokenizer.tokenizers.id_to_token(eos)
    return eos in [token.id for token in tokenizer.tokenizers.model.tokenize(f"a{name}b")]


def expected(tokenizer: LoadedTokenizer, facts: Facts) -> dict[str, Any]:
    """What `observed` must be: ids composed from those of tokenizer.json, and the facts."""
    price, sentence = plain(tokenizer, PRICE), plain(tokenizer, SENTENCE)
    pads = [facts.pad] * _PADS
    padded: Any = [*pads, *price] if facts.padding_side == "left" else [*price, *pads]
    left, most = facts.truncation_side == "left", facts.model_max_length
    declared = tokenizer.spec.tokenizer
    stays = not facts.splits_special or reads_typed_eos(tokenizer)
    return {
        "ids": [*facts.front, *price, *facts.behind],
        "padded ids": REFUSED if facts.pad is None else padded,
        "truncated ids": sentence[-_CUT:] if left else sentence[:_CUT],
        "ids cut at model_max_length": sentence[-most:] if left else sentence[:most],
        "typed eos stays a control token": stays,
        "decoded text": read_back(tokenizer, SPACED),
        "padding_side": facts.padding_side,
        "truncation_side": facts.truncation_side,
        "model_max_length": most,
        "clean_up_tokenization_spaces": facts.clean_up,
        "bos_token_id": declared.bos,
        "eos_token_id": declared.eos,
        "pad_token_id": facts.pad,
        "unk_token_id": declared.unk,
        "number of tokens": facts.size,
    }


ATTRIBUTES = (
    *("padding_side", "truncation_side", "model_max_length", "clean_up_tokenization_spaces"),
    *("bos_token_id", "eos_token_id", "pad_token_id", "unk_token_id"),
)
FACTS = (
    *("ids", "padded ids", "truncated ids", "ids cut at model_max_length"),
    *("typed eos stays a control token", "decoded text"),
    *ATTRIBUTES,
    "number of tokens",
)


def observed(tokenizer: LoadedTokenizer, auto: Any, fact: str) -> Any:
    """What a tokenizer does, by one of FACTS."""
    length = len(plain(tokenizer, PRICE)) + _PADS
    given = {"add_special_tokens": False}
    eos = tokenizer.spec.tokenizer.eos
    match fact:
        case "ids":
            return auto(PRICE)["input_ids"]
        case "padded ids":
            try:
                padding = {"padding": "max_length", "max_length": length}
                return auto(PRICE, **padding, **given)["input_ids"]
            except ValueError:
                return REFUSED
        case "truncated ids":
            return auto(SENTENCE, truncation=True, max_length=_CUT, **given)["input_ids"]
        case "ids cut at model_max_length":
            return auto(SENTENCE, truncation=True, **given)["input_ids"]
        case "typed eos stays a control token":
            typed = f"a{tokenizer.tokenizers.id_to_token(eos)}b"
            return eos in auto(typed, **given)["input_ids"]
        case "decoded text":
            return auto.decode(plain(tokenizer, SPACED))
        case "number of tokens":
            return len(auto)
        case _:
            return getattr(auto, fact)

"""Checks of what a setting does to a tokenizer."""

from typing import Any

from ..tokenizer.copies import SAMPLES
from ..tokenizer.loaded import LoadedTokenizer
from ..tokenizer.settings import FACTS, Facts, expected, observed, plain
from .tokenizer import check_ids, check_value

# Ways to add a token, each with a name that no other test adds, and whether it becomes special.
ADDING = {
    "add_tokens": ("<|plain_one|>", False),
    "add_special_tokens": ("<|special_one|>", True),
    "pad_token": ("<|pad_one|>", True),
}
_CAUSE = "in this version of transformers the setting changes more than its own, or nothing"


def check_fact(tokenizer: LoadedTokenizer, what: str, auto: Any, facts: Facts, fact: str) -> None:
    """Fail unless a fact is what the registry and the settings made say."""
    _check(tokenizer, what, auto, fact, expected(tokenizer, facts)[fact])


def check_facts(tokenizer: LoadedTokenizer, what: str, auto: Any, facts: Facts) -> None:
    """The same for every fact."""
    right = expected(tokenizer, facts)
    for fact in FACTS:
        if fact == "decoded text" and facts.clean_up:
            continue  # what versions that clean up do is a contract of decoding
        _check(tokenizer, what, auto, fact, right[fact])


def _check(tokenizer: LoadedTokenizer, what: str, auto: Any, fact: str, right: Any) -> None:
    got = observed(tokenizer, auto, fact)
    if isinstance(got, list) and isinstance(right, list):
        check_ids(tokenizer, what, fact, got, right, _CAUSE)
    else:
        check_value(tokenizer, f"{what}: {fact}", got, right, _CAUSE)


def _add(auto: Any, way: str, token: str) -> int:
    if way == "add_tokens":
        from tokenizers import AddedToken

        return int(auto.add_tokens([AddedToken(token, normalized=False)]))
    name = "pad_token" if way == "pad_token" else "additional_special_tokens"
    return int(auto.add_special_tokens({name: token if way == "pad_token" else [token]}))


def check_adding(tokenizer: LoadedTokenizer, auto: Any, way: str) -> None:
    """Fail unless one of ADDING appends one id and moves nothing else; the token stays added."""
    (token, special), cause = ADDING[way], f"{way} renumbers, re-flags or merges tokens"
    size = len(auto)
    old = {token_id: auto.convert_ids_to_tokens(token_id) for token_id in range(0, size, 97)}
    old |= {index: added.content for index, added in auto.added_tokens_decoder.items()}
    added = _add(auto, way, token)
    what = f"{way} of {token!r}"
    check_value(tokenizer, f"{what}: tokens added", added, 1, cause)
    check_value(tokenizer, f"{what}: number of tokens", len(auto), size + 1, cause)
    check_value(tokenizer, f"{what}: its id", auto.convert_tokens_to_ids(token), size, cause)
    for token_id, name in old.items():
        got = auto.convert_ids_to_tokens(token_id)
        check_value(tokenizer, f"{what}: token of id {token_id}", got, name, cause)
    for text in SAMPLES:
        ids = auto.encode(text, add_special_tokens=False)
        check_ids(tokenizer, repr(text), f"after {what}", ids, plain(tokenizer, text), cause)
    ids = auto.encode(f"hello{token}world", add_special_tokens=False)
    # As an older control token would stand there: what begins a text may not begin what follows it.
    eos = tokenizer.spec.tokenizer.eos
    older = plain(tokenizer, f"hello{tokenizer.tokenizers.id_to_token(eos)}world")
    right = [size if token_id == eos else token_id for token_id in older]
    check_ids(tokenizer, f"'hello{token}world'", f"after {what}", ids, right, cause)
    got = auto.decode([size], skip_special_tokens=True)
    check_value(tokenizer, f"{what}: decoded without special tokens", got, "" if special else token)
    if way == "pad_token":
        check_value(tokenizer, f"{what}: pad_token_id", auto.pad_token_id, size, cause)

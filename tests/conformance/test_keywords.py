"""Keyword arguments that users rely on: one that is accepted without effect is a failure."""

from contextlib import suppress

from tests.harness.checks.tokenizer import must_work
from tests.harness.errors import fail
from tests.harness.tokenizer.keywords import KEYWORDS
from tests.harness.tokenizer.loaded import LoadedTokenizer
from tests.harness.tokenizer.settings import reads_typed_eos


def test_keyword_has_an_effect(tokenizer: LoadedTokenizer, keyword: str) -> None:
    call, value = KEYWORDS[keyword].call, KEYWORDS[keyword].value
    if keyword == "sanitize_control_tokens" and reads_typed_eos(tokenizer):
        with suppress(ValueError):  # as it cannot be done, it must be refused
            call(tokenizer, **{keyword: value})
            fail(tokenizer.key, f"{keyword}={value!r} is not refused, and cannot have an effect")
        return
    with must_work(tokenizer, keyword, f"{keyword}={value!r:.40}"):
        changed = call(tokenizer, **{keyword: value})
    if changed == call(tokenizer):
        fail(
            tokenizer.key,
            f"{keyword}={value!r:.40} changes nothing",
            cause="this version of transformers swallows the argument without using it",
        )

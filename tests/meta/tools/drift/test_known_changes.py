"""Drift: each change of fixtures/upstream_issues.toml fits its own differences and no others."""

from dataclasses import replace
from typing import Any

import pytest

from tests.harness.data.upstream_issues import Change, UpstreamIssue, upstream_issues
from tests.tools.drift.causes import Packages, fits, issue_of
from tests.tools.drift.differences import Difference

from .test_differences import installed


def result(kind: str, value: Any) -> dict[str, Any]:
    """What a call gives, as it is observed."""
    return {"type": kind, "value": value}


# For each change: what it is about (call, model, values), in the step that crosses its versions.
MATCHES: dict[tuple[str, str], tuple[str, str, Any, Any]] = {
    ("starcoder2_digit_splitting", "ids"): ("encode", "starcoder2", [281, 54], [283, 244, 54]),
    ("smollm2_digit_splitting", "ids"): ("encode", "smollm2", [281], [283]),
    ("tokenize_returns_batch_encoding", "calls"): (
        *("apply_chat_template", "qwen2"),
        *(result("list[int]", [1]), result("BatchEncoding", {"input_ids": [1]})),
    ),
    ("batch_decode_joins_a_flat_list", "calls"): (
        *("batch_decode", "phi3"),
        *(result("list[str]", ["Price", " is"]), result("list[str]", ["Price is"])),
    ),
    ("batch_decode_of_no_rows", "calls"): (
        *("batch_decode", "phi3"),
        *(result("list", []), result("list[str]", [""])),
    ),
    ("gpt2_refuses_split_words", "errors and warnings"): (
        *("__call__", "smollm2"),
        *({"error": "AssertionError: You need to instantiate <class> with"}, [1]),
    ),
    ("flags_of_special_tokens_drop_bos", "settings"): (
        *("add_eos_token", "llama3_1"),
        *({"ids": [128000, 5]}, {"ids": [5]}),
    ),
    ("flags_of_special_tokens_are_swallowed", "settings"): (
        *("add_eos_token", "qwen2"),
        *({}, {"ids": [5, 151643]}),
    ),
    ("clean_up_eats_spaces", "decode"): ("decode", "llama3_1", "x!= y", "x != y"),
    ("clean_up_eats_spaces", "errors and warnings"): (
        *("use", "starcoder2", []),
        ["Ignoring clean_up_tokenization_spaces=True for BPE tokenizer"],
    ),
    ("continued_message_loses_its_last_space", "rendered text"): (
        *("apply_chat_template", "qwen2"),
        *("Price is $", "Price is $ "),
    ),
    ("regex_warning_is_false", "errors and warnings"): (
        *("load", "qwen2", []),
        ["with an incorrect regex pattern"],
    ),
    ("none_content_is_rendered", "rendered text"): ("apply_chat_template", "qwen2", "None", ""),
    ("no_decode_stream", "errors and warnings"): (
        *("DecodeStream", "phi3"),
        *({"error": "ImportError: cannot"}, "text"),
    ),
    ("empty_offsets_where_merges_are_ignored", "offsets"): (
        *("encode", "llama3_1"),
        *([[0, 0]], [[0, 4]]),
    ),
    ("saved_class_is_new", "saved files"): (
        *("", "phi3", ""),
        "'ValueError: Tokenizer class TokenizersBackend does not exist or is not'",
    ),
    ("saved_special_tokens_are_a_list", "saved files"): (
        *("", "starcoder2", ""),
        "'AttributeError: \\'list\\' object has no attribute \\'keys\\''",
    ),
}
CHANGES = [(issue, change) for issue in upstream_issues() for change in issue.changes]
OLDER = {"transformers": "4.46.3", "tokenizers": "0.19.1"}


def test_every_known_change_has_its_example() -> None:
    assert sorted((issue.id, change.kind) for issue, change in CHANGES) == sorted(MATCHES)


@pytest.mark.parametrize(
    ("issue", "change"), CHANGES, ids=[f"{issue.id}-{change.kind}" for issue, change in CHANGES]
)
def test_known_change_fits_its_difference_and_no_other(
    issue: UpstreamIssue, change: Change
) -> None:
    first = issue.versions.partition(",")[0].strip("<>=")  # the first of another behaviour
    package, ends = issue.package, "," in issue.versions  # seen at both ends, in either direction
    call, model, left, right = MATCHES[issue.id, change.kind]
    difference = Difference(change.kind, call, model, "", left, right)

    def fit(other: Difference, packages: Packages) -> bool:
        return fits(issue, change, other, packages)

    here = installed(OLDER[package], first, package)
    assert fit(difference, here)
    assert issue_of(difference, here) == issue
    assert not fit(difference, installed(OLDER[package], first, "jinja2"))
    assert fit(difference, installed(first, "9.0.0", package)) == ends, "a later step"
    assert not fit(difference, installed("0.0.1", "0.0.2", package)), "an earlier step"
    assert not fit(replace(difference, kind="special tokens"), here), "another kind"
    if change.models != ("*",):
        assert not fit(replace(difference, model="no_such_model"), here)
    if not ends and (change.left.pattern or change.right.pattern):
        assert not fit(replace(difference, left=right, right=left), here)
    if change.call != "*":
        assert not fit(replace(difference, call="other"), here)

"""Outputs that others published, character by character; no tokenizer reads another's ids."""

from tests.harness.checks.tokenizer import check_ids, check_text
from tests.harness.data.cases import Published, conversations, texts
from tests.harness.errors import fail
from tests.harness.tokenizer.chat import render_case
from tests.harness.tokenizer.loaded import LoadedTokenizer


def test_published_output_holds(tokenizer: LoadedTokenizer, output: Published) -> None:
    if output.ids is not None:
        ids = tokenizer.ids(texts()[output.case])
        check_ids(tokenizer, output.case, "published ids", ids, list(output.ids))
    if output.prompt is not None:
        text = render_case(tokenizer, conversations()[output.case])
        check_text(tokenizer, output.case, "published prompt", text, output.prompt)


def test_other_models_cannot_read_the_ids(
    tokenizer: LoadedTokenizer, other: LoadedTokenizer
) -> None:
    """Another model's tokenizer must not decode the ids to the text."""
    text = texts()["plain.task_sentence"]
    ids = tokenizer.transformers.encode(text.full_text, add_special_tokens=False)
    got = other.transformers.decode(ids)
    if got.strip() == text.full_text:
        fail(
            tokenizer.key,
            f"{other.key} decodes its ids to the same text",
            cause="one model's folder holds the other's tokenizer",
        )

"""Outputs that others published, letter by letter; and that models cannot stand in for others."""

from tests.harness.cases import Published, conversations, texts
from tests.harness.diagnosis import check_ids, check_text, fail
from tests.harness.loading import Loaded
from tests.harness.prompts import render_case


def test_published_output_holds(model: Loaded, output: Published) -> None:
    if output.ids is not None:
        ids = model.ids(texts()[output.case])
        check_ids(model, output.case, "published ids", ids, list(output.ids))
    if output.prompt is not None:
        text = render_case(model, conversations()[output.case])
        check_text(model, output.case, "published prompt", text, output.prompt)


def test_other_models_cannot_read_the_ids(model: Loaded, other: Loaded) -> None:
    """A wrong tokenizer for a model gives garbage: it must not give the text back."""
    text = texts()["plain.task_sentence"]
    ids = model.auto.encode(text.full_text, add_special_tokens=False)
    got = other.auto.decode(ids)
    if got.strip() == text.full_text:
        fail(
            f"{model.key}: {other.key} decodes its ids to the same text; likely cause: one "
            "model's folder holds the other's tokenizer"
        )

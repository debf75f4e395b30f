"""Snapshots: how the task's call resolves, and what it answers. Contracts are in other files."""

from pathlib import Path

import pytest
from syrupy.assertion import SnapshotAssertion

from tests.harness.checks import generation_settings as settings
from tests.harness.model.generation import decoded
from tests.harness.model.loading import LoadedModel
from tests.harness.model.logits import answer_rows, next_token_logits
from tests.harness.plugins.models import Generate
from tests.harness.plugins.tokenizers import tokenizers_of
from tests.harness.prices.products import Product, price_prompt, read_products
from tests.harness.snapshots.check import check_snapshot, recorded_rows
from tests.harness.text import quote


@pytest.mark.loads("nf4")
@pytest.mark.snapshot_of("generation")
def test_generation_snapshot(
    loaded_model: LoadedModel,
    generate: Generate,
    snapshot: SnapshotAssertion,
    pytestconfig: pytest.Config,
) -> None:
    answer = generate(price_prompt(read_products()[0].text))
    # A broken contract must never be saved, whatever the options.
    settings.check_pad(loaded_model, answer)
    settings.check_rows(loaded_model, answer)
    settings.check_budget(loaded_model, answer)
    settings.check_sampling(loaded_model, answer, settings.declared_sampling(loaded_model.key))
    tokenizer = tokenizers_of(pytestconfig)[loaded_model.key]
    case = f"{loaded_model.device}-{loaded_model.load}"
    check_snapshot(snapshot, tokenizer, "generation", case, settings.settings_rows(answer))


@pytest.mark.trained
@pytest.mark.devices("cpu")  # where everybody has the weights
@pytest.mark.snapshot_of("answers")
@pytest.mark.parametrize("product", read_products()[::12], ids=lambda product: product.id)
def test_answers_snapshot(
    loaded_model: LoadedModel,
    product: Product,
    snapshot: SnapshotAssertion,
    pytestconfig: pytest.Config,
) -> None:
    tokenizer, prompt = tokenizers_of(pytestconfig)[loaded_model.key], price_prompt(product.text)
    (logits,) = next_token_logits(loaded_model.model, loaded_model.tokenizer, [prompt])
    case = f"{loaded_model.device}-{loaded_model.load}-{product.id}"
    rows = answer_rows(
        logits,
        loaded_model.load,
        lambda token: quote(decoded(loaded_model.tokenizer, [token])),
        recorded_rows(Path(__file__).parent, tokenizer, "answers", case),
    )
    check_snapshot(snapshot, tokenizer, "answers", case, rows)

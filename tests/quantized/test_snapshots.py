"""Snapshots: the settings that the task's call resolves to. Contracts are in test_generation."""

import pytest
from syrupy.assertion import SnapshotAssertion

from tests.harness.checks import generation_settings as settings
from tests.harness.model.loading import LoadedModel
from tests.harness.plugins.models import Generate
from tests.harness.plugins.tokenizers import tokenizers_of
from tests.harness.prices.products import price_prompt, read_products
from tests.harness.snapshots.check import check_snapshot


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

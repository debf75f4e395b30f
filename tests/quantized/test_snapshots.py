"""Recordings: the settings that the task's call resolves to. Contracts are in test_generation."""

import pytest
from syrupy.assertion import SnapshotAssertion

from tests.harness import settings_verdicts as settings
from tests.harness.asking import Ask
from tests.harness.live import Live
from tests.harness.loading import models_of
from tests.harness.price_prompts import price_prompt, read_products
from tests.harness.snapshots import check_snapshot


@pytest.mark.loads("nf4")
def test_generation_snapshot(
    live: Live, ask: Ask, snapshot: SnapshotAssertion, pytestconfig: pytest.Config
) -> None:
    answer = ask(price_prompt(read_products()[0].text))
    # A broken contract must never reach the recording, whatever the options.
    settings.check_pad(live, answer)
    settings.check_rows(live, answer)
    settings.check_budget(live, answer)
    settings.check_sampling(live, answer, settings.declared_sampling(live.key))
    loaded, case = models_of(pytestconfig)[live.key], live.name.partition("-")[2]
    check_snapshot(snapshot, loaded, "generation", case, settings.settings_rows(answer))

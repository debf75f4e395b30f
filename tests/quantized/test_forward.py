"""The forward pass equals an independent reference, part by part, in every way to run it."""

import pytest

from tests.harness.checks.forward import check_code
from tests.harness.checks.forward_pass import (
    CHAIN,
    WHOLE,
    ForwardPass,
    check_last_positions,
    check_narrow,
    check_run,
)
from tests.harness.data.registry import Model
from tests.harness.data.runs import Run
from tests.harness.forward.comparison import KINDS, Kind
from tests.harness.forward.narrow import NarrowModel
from tests.harness.model.loading import LoadedModel


@pytest.mark.parametrize("kind", KINDS)
def test_part_matches_reference(forward: ForwardPass, kind: Kind) -> None:
    forward.check(kind)


def test_layers_are_joined(forward: ForwardPass) -> None:
    forward.check(CHAIN)


def test_logits_match_reference(forward: ForwardPass) -> None:
    forward.check(WHOLE)


def test_run_matches_reference(loaded_model: LoadedModel, forward: ForwardPass, run: Run) -> None:
    check_run(loaded_model, forward, run)


def test_rotary_tables_at_the_end_of_the_context(
    loaded_model: LoadedModel, forward: ForwardPass
) -> None:
    check_last_positions(loaded_model.label, loaded_model.model, forward.spec)


def test_code_is_the_librarys_own(loaded_model: LoadedModel) -> None:
    check_code(loaded_model.label, loaded_model.model)


def test_narrow_model_matches_reference(architecture: Model, run: Run, narrow: NarrowModel) -> None:
    check_narrow(architecture.key, narrow, run)


def test_narrow_rotary_tables_at_the_end_of_the_context(
    architecture: Model, narrow: NarrowModel
) -> None:
    check_last_positions(f"{architecture.key}: narrow model", narrow.model, narrow.spec)

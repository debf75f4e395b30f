"""Loading uses every key, prints nothing, asks nothing and runs only the library's code."""

import sys

import pytest

from tests.harness.checks.memory import check_loading_info, check_no_messages
from tests.harness.checks.weights import check_equal_to_checkpoint, check_finite
from tests.harness.errors import fail
from tests.harness.model.loading import LoadedModel


@pytest.mark.parametrize("kind", ["missing_keys", "unexpected_keys", "mismatched_keys"])
def test_every_key_is_used(loaded_model: LoadedModel, kind: str) -> None:
    check_loading_info(loaded_model, kind)


def test_every_weight_is_a_number(freshly_loaded: LoadedModel) -> None:
    check_finite(freshly_loaded)


def test_weights_in_bf16_are_the_checkpoints(freshly_loaded: LoadedModel) -> None:
    check_equal_to_checkpoint(freshly_loaded)


def test_no_warnings_or_prompts(loaded_model: LoadedModel) -> None:
    check_no_messages(loaded_model, "loading", loaded_model.measured.messages)


def test_no_remote_code(loaded_model: LoadedModel) -> None:
    foreign = [name for name in sys.modules if name.startswith("transformers_modules")]
    model = loaded_model.model
    homes = {part.__class__.__module__ for part in (model, model.config)}
    foreign += [name for name in homes if not name.startswith("transformers.models.")]
    if foreign:
        what = f"code of {foreign[0]} runs, expected transformers' own models only"
        fail(loaded_model.label, what)

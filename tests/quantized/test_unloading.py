"""Unloading frees everything. The file's name puts it last: it leaves no model in memory."""

import gc

import pytest

from tests.harness.errors import fail
from tests.harness.model import device as devices
from tests.harness.model.loading import LoadedModel
from tests.harness.plugins.models import ModelCache


@pytest.mark.loads("bf16")  # the quickest to load again
def test_model_is_gone_once_unloaded(loaded_model: LoadedModel, model_cache: ModelCache) -> None:
    model_cache.slot.unload()
    gc.collect()
    if loaded_model.reference() is not None:
        fail(
            loaded_model.label,
            "the unloaded model is still held, expected nothing to hold it",
            cause="a cache of the library, or a test that kept it",
        )


@pytest.mark.devices("cuda")
def test_memory_is_given_back(loaded_model: LoadedModel, model_cache: ModelCache) -> None:
    """Even while the model's tensors are held, as a failed test's traceback holds them."""
    kept = devices.tensors_of(model_cache.slot.model)
    model_cache.slot.unload()
    left = devices.allocated(loaded_model.device) - loaded_model.measured.before
    assert kept
    if left:
        fail(
            loaded_model.label,
            f"{left:,} B are still allocated after unloading, expected 0",
            cause="a tensor that is no part of the model was left behind by a test",
        )

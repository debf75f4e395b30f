"""Everything is given back. The file's name puts it last, since the model is gone after it."""

import gc

import pytest

from tests.harness import device as devices
from tests.harness.diagnosis import fail
from tests.harness.live import Live
from tests.harness.quantized import Models


@pytest.mark.loads("bf16")  # the quickest to load again
def test_model_is_gone_once_unloaded(live: Live, models: Models) -> None:
    models.slot.unload()
    gc.collect()
    if live.reference() is not None:
        fail(
            f"{live.title}: the unloaded model is still held, expected nothing to hold it; likely "
            "cause: a cache of the library, or a test that kept it"
        )


@pytest.mark.devices("cuda")
def test_memory_is_given_back(live: Live, models: Models) -> None:
    """Even while somebody holds the model's tensors, as a failed test's traceback does."""
    kept = devices.tensors_of(models.slot.model)
    models.slot.unload()
    left = devices.allocated(live.device) - live.measured.before
    assert kept
    if left:
        fail(
            f"{live.title}: {left:,} B are still allocated after unloading, expected 0; likely "
            "cause: a tensor that is no part of the model was left behind by a test"
        )

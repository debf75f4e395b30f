"""The memory of a loaded model: exact, by kind and layer, from the registry's facts."""

import pytest

from tests.harness.checks import memory
from tests.harness.model.loading import LoadedModel

# The CPU's allocator counts nothing, so these run where there is a CUDA device.
on_cuda = pytest.mark.devices("cuda")


def test_footprint_is_exact(loaded_model: LoadedModel) -> None:
    memory.check_footprint(loaded_model)


def test_buffers_match_registry(loaded_model: LoadedModel) -> None:
    memory.check_buffers(loaded_model)


def test_layers_match_registry(loaded_model: LoadedModel) -> None:
    memory.check_layers(loaded_model)


def test_total_bytes_including_quant_state(loaded_model: LoadedModel) -> None:
    memory.check_bytes(loaded_model)


@on_cuda
def test_no_other_tensors_on_the_device(loaded_model: LoadedModel) -> None:
    memory.check_requested(loaded_model)


@on_cuda
def test_allocated_memory(loaded_model: LoadedModel) -> None:
    memory.check_allocated(loaded_model)


@on_cuda
def test_peak_while_loading(loaded_model: LoadedModel) -> None:
    memory.check_peak(loaded_model)

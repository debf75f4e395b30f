"""The memory of a loaded model: exact, by kind and layer, from the registry's facts."""

import pytest

from tests.harness.checks import device_memory, memory
from tests.harness.model.loading import LoadedModel

# The CPU's allocator counts nothing, so these run where there is a CUDA device.
on_cuda = pytest.mark.devices("cuda")


def test_footprint_is_exact(loaded_model: LoadedModel) -> None:
    memory.check_footprint(loaded_model)


def test_buffers_are_as_declared(loaded_model: LoadedModel) -> None:
    memory.check_buffers(loaded_model)


def test_layers_are_as_declared(loaded_model: LoadedModel) -> None:
    memory.check_layers(loaded_model)


def test_bytes_with_the_quantisations_own_data(loaded_model: LoadedModel) -> None:
    memory.check_bytes(loaded_model)


@on_cuda
def test_nothing_else_stays_on_the_device(loaded_model: LoadedModel) -> None:
    device_memory.check_requested(loaded_model)


@on_cuda
def test_allocated_memory(loaded_model: LoadedModel) -> None:
    device_memory.check_allocated(loaded_model)


@on_cuda
def test_peak_while_loading(loaded_model: LoadedModel) -> None:
    device_memory.check_peak(loaded_model)

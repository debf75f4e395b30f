"""The memory of a loaded model: exact, by kind and layer, from the registry's facts."""

import pytest

from tests.harness import device_verdicts, verdicts
from tests.harness.live import Live

# The CPU's allocator counts nothing, so these run where there is a CUDA device.
on_cuda = pytest.mark.devices("cuda")


def test_footprint_is_exact(live: Live) -> None:
    verdicts.check_footprint(live)


def test_buffers_are_as_declared(live: Live) -> None:
    verdicts.check_buffers(live)


def test_layers_are_as_declared(live: Live) -> None:
    verdicts.check_layers(live)


def test_bytes_with_the_quantisations_own_data(live: Live) -> None:
    verdicts.check_bytes(live)


@on_cuda
def test_nothing_else_stays_on_the_device(live: Live) -> None:
    device_verdicts.check_requested(live)


@on_cuda
def test_allocated_memory(live: Live) -> None:
    device_verdicts.check_allocated(live)


@on_cuda
def test_peak_while_loading(live: Live) -> None:
    device_verdicts.check_peak(live)

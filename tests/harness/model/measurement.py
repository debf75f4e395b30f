"""What is measured while a model is loaded: bytes, seconds, layers, and every message."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..memory.inventory import Layer, inventory, size
from . import device as devices
from .messages import capture_messages


@dataclass(frozen=True)
class Measurement:
    """A load, measured before anything ran on the model.

    Running changes a model: on CPUs with AVX512-BF16 bitsandbytes repacks a 4-bit layer at its
    first use, and an int8 layer moves its row scales. So all that is compared is read here.
    Bytes are 0 on the CPU, which does not count them.
    """

    before: int  # bytes allocated on the device before the load
    after: int
    peak: int
    requested: int  # bytes that the tensors the load left need, without any rounding
    seconds: float
    footprint: int  # get_memory_footprint()
    buffers: dict[str, int]  # bytes by name
    storages: tuple[int, ...]  # bytes of each piece of memory held, quant_states included
    layers: dict[str, Layer]  # every module that holds a weight, by name
    loading_info: dict[str, Any]
    messages: tuple[str, ...]  # see `capture_messages`


def measure_load(
    device: str, load: Callable[[], tuple[Any, dict[str, Any]]]
) -> tuple[Any, Measurement]:
    """Call `load`, which returns a model and its loading info; the model, and what it took.

    Call `device.collect` before, so that the figures are the load's.
    """
    import bitsandbytes  # noqa: F401  # its messages at import are not the load's

    before, requested = devices.allocated(device), devices.requested(device)
    devices.peak(device, reset=True)
    started = time.monotonic()
    with capture_messages() as messages:
        model, info = load()
    seconds, peak = time.monotonic() - started, devices.peak(device)
    devices.collect(device)
    return model, Measurement(
        before=before,
        after=devices.allocated(device),
        peak=peak,
        requested=devices.requested(device) - requested,
        seconds=seconds,
        footprint=model.get_memory_footprint(),
        buffers={name: size(buffer) for name, buffer in model.named_buffers()},
        storages=_storage_sizes(devices.tensors_of(model)),
        layers=inventory(model),
        loading_info=info,
        messages=tuple(messages),
    )


def _storage_sizes(tensors: list[Any]) -> tuple[int, ...]:
    """Bytes of each storage behind the tensors; an int8 weight is held under two names."""
    storages = [tensor.untyped_storage() for tensor in tensors]
    sizes = {storage.data_ptr(): storage.nbytes() for storage in storages if storage.nbytes()}
    return tuple(sizes.values())

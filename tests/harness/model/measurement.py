"""What is seen while a model is loaded: bytes, seconds, layers, and all that was said."""

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ..memory.inventory import Layer, inventory, size
from . import device as devices
from .messages import capture_messages


@dataclass(frozen=True)
class Measurement:
    """What was seen while a model was loaded, before anything ran on it.

    Running changes a model: on CPUs with AVX512-BF16 bitsandbytes repacks a 4-bit layer at its
    first use, and an int8 layer moves its row scales. So all that is compared is read here.
    Bytes are 0 on the CPU, which does not count them.
    """

    before: int  # bytes allocated on the device before the load
    after: int
    peak: int
    requested: int  # bytes asked for by the tensors that the load left, without any rounding
    seconds: float
    footprint: int  # get_memory_footprint()
    buffers: dict[str, int]  # bytes by name
    storages: tuple[int, ...]  # bytes of each piece of memory held, quant_states included
    layers: dict[str, Layer]  # every module that holds a weight, by name
    loading_info: dict[str, Any]
    messages: tuple[str, ...]  # warnings, log messages from WARNING on, and all that was printed


@dataclass
class Observation:
    """Fills while a model is loaded; then `of` gives what was seen."""

    device: str
    before: int
    requested_before: int
    peak: int = 0
    seconds: float = 0.0
    messages: list[str] = field(default_factory=list)

    def of(self, model: Any, info: dict[str, Any]) -> Measurement:
        """The figures, and what the model is made of."""
        devices.collect(self.device)
        return Measurement(
            before=self.before,
            after=devices.allocated(self.device),
            peak=self.peak,
            requested=devices.requested(self.device) - self.requested_before,
            seconds=self.seconds,
            footprint=model.get_memory_footprint(),
            buffers={name: size(buffer) for name, buffer in model.named_buffers()},
            storages=tuple(held(devices.tensors_of(model))),
            layers=inventory(model),
            loading_info=info,
            messages=tuple(self.messages),
        )


def held(tensors: list[Any]) -> list[int]:
    """Bytes of each storage behind the tensors; an int8 weight is held under two names."""
    storages = [tensor.untyped_storage() for tensor in tensors]
    return list({it.data_ptr(): it.nbytes() for it in storages if it.nbytes()}.values())


@contextlib.contextmanager
def measuring(device: str) -> Iterator[Observation]:
    """Watch a load; the device's cache is emptied first, so that the figures are the load's."""
    import bitsandbytes  # noqa: F401  # what it says of the machine when imported is not the load's

    devices.collect(device)
    seen = Observation(device, devices.allocated(device), devices.requested(device))
    devices.peak(device, reset=True)
    started = time.monotonic()
    with capture_messages() as messages:
        yield seen
    seen.messages += messages
    seen.seconds, seen.peak = time.monotonic() - started, devices.peak(device)

"""A device that models are loaded on: whether it works, its memory, and when it is given up."""

import gc
import sys
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ..text import first_line

UNUSABLE_DEVICES: dict[
    str, str
] = {}  # device to the reason, once it cannot be trusted for this session


# What torch says when a device's memory or state is lost; 2.11 has no class of its own for all.
FATAL = ("out of memory", "CUDA error", "CUBLAS_STATUS_ALLOC_FAILED")


NO_CUDA = "no CUDA device"  # the reason of every skip for want of one


def has_cuda() -> bool:
    """Whether torch sees a CUDA device; a driver that is too old is told by a warning only."""
    try:
        import torch
    except ImportError:
        return False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return bool(torch.cuda.is_available())


def preflight(device: str) -> str | None:
    """Quantize and dequantize a 64 x 64 tensor; one line says what is at fault, None if nothing."""
    import torch

    driver = "" if device == "cpu" else f" (torch's CUDA is {torch.version.cuda})"
    try:
        values = torch.linspace(-1, 1, 64 * 64, dtype=torch.bfloat16, device=device)
        square = values.reshape(64, 64)
        float((square @ square).float().sum())
    except Exception as error:
        return (
            f"{device}: torch {torch.__version__} cannot multiply there{driver}: "
            f"{first_line(error)}; "
            "update the driver, or install a torch built for it"
        )
    try:
        from bitsandbytes.functional import dequantize_4bit, quantize_4bit

        packed, state = quantize_4bit(square, quant_type="nf4", compress_statistics=True)
        error_size = float((dequantize_4bit(packed, state) - square).abs().max())
    except Exception as error:
        return (
            f"{device}: bitsandbytes {version('bitsandbytes')} cannot quantize there{driver}: "
            f"{first_line(error)}; install the pinned bitsandbytes, whose wheel holds this CUDA"
        )
    if error_size > 0.2:  # half of NF4's largest gap is 0.152 of a block's largest value, here 1
        return (
            f"{device}: bitsandbytes {version('bitsandbytes')} quantizes wrongly there{driver}: "
            f"an error of {error_size:.2f}; install the pinned bitsandbytes"
        )
    return None


def free_bytes(device: str) -> int:
    """Bytes that can still be allocated there, this process's own cache included."""
    if device == "cpu":
        return available_on_linux()
    import torch

    free, _ = torch.cuda.mem_get_info()
    return int(free + torch.cuda.memory_reserved() - torch.cuda.memory_allocated())


def available_on_linux() -> int:
    """Bytes that processes can still have; on other systems so many that nothing is refused."""
    meminfo = Path("/proc/meminfo")
    lines = meminfo.read_text(encoding="ascii").splitlines() if meminfo.is_file() else []
    found = [line.split()[1] for line in lines if line.startswith("MemAvailable:")]
    return int(found[0]) * 1024 if found else sys.maxsize


def allocated(device: str) -> int:
    """Bytes of live tensors on a CUDA device; 0 on the CPU, which does not count them."""
    import torch

    return 0 if device == "cpu" else int(torch.cuda.memory_allocated())


def requested(device: str) -> int:
    """What live tensors asked for on a CUDA device, before torch rounded it up; 0 on the CPU."""
    import torch

    if device == "cpu":
        return 0
    return int(torch.cuda.memory_stats().get("requested_bytes.all.current", 0))


def peak(device: str, reset: bool = False) -> int:
    """The largest `allocated` since the last reset."""
    import torch

    if device == "cpu":
        return 0
    if reset:
        torch.cuda.reset_peak_memory_stats()
    return int(torch.cuda.max_memory_allocated())


def is_fatal(error: BaseException) -> bool:
    """Whether a device cannot be used on after this error."""
    import torch

    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(word in str(error) for word in FATAL)


def collect(device: str) -> None:
    """Free what is unreachable, and give torch's cached blocks back to the device."""
    import torch

    gc.collect()
    if device != "cpu" and device not in UNUSABLE_DEVICES and torch.cuda.is_initialized():
        # cuBLAS keeps 32 MiB a stream on a Hopper chip and asks for them again when need be.
        torch._C._cuda_clearCublasWorkspaces()
        torch.cuda.empty_cache()


def tensors_of(model: Any) -> list[Any]:
    """Every tensor a model holds: parameters, buffers, quant_states, int8 weights and scales."""
    found = [*model.parameters(), *model.buffers()]
    for module in model.modules():
        weight = getattr(module, "weight", None)
        quantized = getattr(weight, "quant_state", None)
        holders = (weight, quantized, getattr(quantized, "state2", None), vars(module).get("state"))
        for holder in holders:
            values = getattr(holder, "__dict__", {}).values()
            found += [value for value in values if hasattr(value, "untyped_storage")]
    return list({id(tensor): tensor for tensor in found}.values())


def release(model: Any) -> None:
    """Free the storages of a model's tensors, whoever still holds the tensors.

    A failed test's traceback holds the frames of the model's own code, and so the model: without
    this the next one would not fit beside it.
    """
    import torch

    for tensor in tensors_of(model):
        if tensor.is_cuda:
            tensor.untyped_storage().resize_(0)  # reaches views, too
        tensor.data = torch.empty(0, dtype=tensor.dtype)

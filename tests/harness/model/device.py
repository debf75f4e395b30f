"""A device that models are loaded on: whether it works, its memory, and when it is unusable."""

import ctypes
import gc
import sys
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ..text import first_line

UNUSABLE_DEVICES: dict[str, str] = {}  # for the rest of this session: device to reason
NO_CUDA = "no CUDA device"  # the reason of every skip for want of one

# How torch reports that a device's memory or state is lost; 2.11 has no class of its own for all.
_FATAL = ("out of memory", "CUDA error", "CUBLAS_STATUS_ALLOC_FAILED")


def has_cuda() -> bool:
    """Whether torch sees a CUDA device; its warning of a driver that is too old is dropped."""
    try:
        import torch
    except ImportError:
        return False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return bool(torch.cuda.is_available())


def preflight(device: str) -> str | None:
    """Multiply, quantize and dequantize 64 x 64 values; one line with the fault, None if none."""
    import torch

    driver = "" if device == "cpu" else f" (torch's CUDA is {torch.version.cuda})"
    bitsandbytes = f"{device}: bitsandbytes {version('bitsandbytes')}"
    try:
        values = torch.linspace(-1, 1, 64 * 64, dtype=torch.bfloat16, device=device)
        square = values.reshape(64, 64)
        float((square @ square).float().sum())
    except Exception as error:
        return (
            f"{device}: torch {torch.__version__} cannot multiply there{driver}: "
            f"{first_line(error)}; update the driver, or install a torch built for it"
        )
    try:
        from bitsandbytes.functional import dequantize_4bit, quantize_4bit

        packed, state = quantize_4bit(square, quant_type="nf4", compress_statistics=True)
        error_size = float((dequantize_4bit(packed, state) - square).abs().max())
    except Exception as error:
        return (
            f"{bitsandbytes} cannot quantize there{driver}: {first_line(error)}; "
            "install the pinned bitsandbytes, whose wheel holds this CUDA"
        )
    if error_size > 0.2:  # half of NF4's largest gap is 0.152 of a block's largest value, here 1
        return (
            f"{bitsandbytes} quantizes wrongly there{driver}: an error of {error_size:.2f}; "
            "install the pinned bitsandbytes"
        )
    return None


def free_bytes(device: str) -> int:
    """Bytes that can still be allocated there, torch's cached blocks included."""
    if device == "cpu":
        return _available_on_linux()
    import torch

    free, _ = torch.cuda.mem_get_info()
    return int(free + torch.cuda.memory_reserved() - torch.cuda.memory_allocated())


def _available_on_linux() -> int:
    """Bytes that processes can still have; on other systems more than any model needs."""
    meminfo = Path("/proc/meminfo")
    lines = meminfo.read_text(encoding="ascii").splitlines() if meminfo.is_file() else []
    sizes = [int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")]
    return sizes[0] * 1024 if sizes else sys.maxsize


def allocated(device: str) -> int:
    """Bytes of tensors on a CUDA device; 0 on the CPU, which does not count them."""
    import torch

    return 0 if device == "cpu" else int(torch.cuda.memory_allocated())


def requested(device: str) -> int:
    """Bytes the tensors on a CUDA device need, before torch's rounding up; 0 on the CPU."""
    import torch

    name = "requested_bytes.all.current"
    return 0 if device == "cpu" else int(torch.cuda.memory_stats().get(name, 0))


def peak(device: str, reset: bool = False) -> int:
    """The largest `allocated` since the last reset."""
    import torch

    if device == "cpu":
        return 0
    if reset:
        torch.cuda.reset_peak_memory_stats()
    return int(torch.cuda.max_memory_allocated())


def keep_freed_memory() -> None:
    """Let glibc hand out freed memory again, not give it back to the system each time.

    transformers copies every int8 weight to the CPU and back while it loads: in new pages that
    took 16 s for 9 GB on a virtual machine, in used ones 7 s. Elsewhere nothing happens.
    """
    if mallopt := getattr(ctypes.CDLL(None), "mallopt", None):
        for option, size in ((_MMAP_THRESHOLD, 2**30), (_TRIM_THRESHOLD, 2**30), (_TOP_PAD, 2**28)):
            mallopt(option, size)


_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3  # of malloc.h


def is_fatal(error: BaseException) -> bool:
    """Whether a device is unusable after this error."""
    import torch

    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _FATAL)


def collect(device: str) -> None:
    """Free what is unreachable, and give torch's cached blocks back to the device."""
    import torch

    gc.collect()
    if device != "cpu" and device not in UNUSABLE_DEVICES and torch.cuda.is_initialized():
        # cuBLAS keeps 32 MiB a stream on a Hopper chip and allocates them again when needed.
        torch._C._cuda_clearCublasWorkspaces()
        torch.cuda.empty_cache()


def tensors_of(model: Any) -> list[Any]:
    """Every tensor a model holds: parameters, buffers, quant_states, int8 weights and scales."""
    tensors = [*model.parameters(), *model.buffers()]
    for module in model.modules():
        weight = getattr(module, "weight", None)
        state = getattr(weight, "quant_state", None)
        for holder in (weight, state, getattr(state, "state2", None), vars(module).get("state")):
            values = getattr(holder, "__dict__", {}).values()
            tensors += [value for value in values if hasattr(value, "untyped_storage")]
    return list({id(tensor): tensor for tensor in tensors}.values())


def release(model: Any) -> None:
    """Free the storages of a model's tensors, even of tensors that something else still holds.

    A failed test's traceback holds the frames of the model's own code, and so the model: without
    this the next one would not fit beside it.
    """
    import torch

    for tensor in tensors_of(model):
        if tensor.is_cuda:
            tensor.untyped_storage().resize_(0)  # reaches views, too
        tensor.data = torch.empty(0, dtype=tensor.dtype)

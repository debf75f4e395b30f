"""The machine that latency is measured on: what it is, and how fast it is at this moment."""

import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from ..data.registry import Device

ROUNDS = 15
CPU_SIDE, CUDA_SIDE = 2048, 8192  # of the square matrices, bf16
CPU_BYTES, CUDA_BYTES = 1 << 27, 1 << 30  # of the copied tensor
MATRIX, COPY, INTERPRETER = "matrix product", "copy", "interpreter"


def synchronized() -> float:
    """Seconds of a monotonic clock, read once all work given to a CUDA device is done.

    A kernel call returns before the kernel runs: without waiting, a call of 5 ms is timed at less
    than a microsecond.
    """
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.synchronize()
    return time.perf_counter()


def _nvidia_smi(*fields: str) -> list[str]:
    """Properties of the device in use, as `nvidia-smi --query-gpu` names them."""
    import torch

    command = ["nvidia-smi", f"--query-gpu={','.join(fields)}", "--format=csv,noheader"]
    command += ["--id", str(torch.cuda.get_device_properties(0).uuid).join(("GPU-", ""))]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ["unknown"] * len(fields)
    return [value.strip() for value in done.stdout.strip().split(",")]


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


@cache
def identity(device: Device) -> dict[str, str]:
    """What must be equal for two latencies to be comparable; read once a process."""
    if device == "cpu":
        return {"device": _processor(), "cores": str(len(os.sched_getaffinity(0)))}
    import torch

    return {
        "device": torch.cuda.get_device_name(0),
        "driver": _nvidia_smi("driver_version")[0],
        "host": _processor(),
    }


def clocks(device: Device) -> dict[str, str]:
    """Clocks of a CUDA device now; empty for the CPU."""
    if device == "cpu":
        return {}
    return dict(zip(("sm", "memory"), _nvidia_smi("clocks.sm", "clocks.mem"), strict=True))


def resident_bytes() -> int:
    """Bytes of main memory that this process holds now; 0 where the system does not say."""
    statm = Path("/proc/self/statm")
    return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGESIZE") if statm.exists() else 0


def _loop() -> None:
    for _ in range(100_000):
        pass


def _controls(device: Device) -> dict[str, Callable[[], Any]]:
    """Fixed work that no library under test has a part in; torch's matrix product is its bound."""
    import torch

    side, size = (CPU_SIDE, CPU_BYTES) if device == "cpu" else (CUDA_SIDE, CUDA_BYTES)
    square = torch.randn(side, side, dtype=torch.bfloat16, device=device)
    source = torch.ones(size, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    calls: dict[str, Callable[[], Any]] = {
        MATRIX: lambda: square @ square,
        COPY: lambda: target.copy_(source),
    }
    return calls | ({INTERPRETER: _loop} if device == "cpu" else {})


def run_controls(device: Device) -> dict[str, list[float]]:
    """Seconds of each round of the fixed work, by `device: name`."""
    seconds = {}
    for name, call in _controls(device).items():
        call()
        times = []
        for _ in range(ROUNDS):
            started = synchronized()
            call()
            times.append(synchronized() - started)
        seconds[f"{device}: {name}"] = times
    return seconds


@cache
def clock_and_device_seconds(clock: Callable[[], float]) -> tuple[float, float]:
    """Seconds of work on a CUDA device by a clock, and by the device's own events; done once."""
    import torch

    work, events = _controls("cuda")[MATRIX], [torch.cuda.Event(enable_timing=True) for _ in "ab"]
    work()
    torch.cuda.synchronize()
    started = clock()
    events[0].record()
    for _ in range(ROUNDS):
        work()
    events[1].record()
    seconds = clock() - started
    torch.cuda.synchronize()
    return seconds, events[0].elapsed_time(events[1]) / 1000


def rates(device: Device, times: Mapping[str, Sequence[float]]) -> tuple[float, float]:
    """FLOP/s of the matrix product, and bytes/s of the copy, read and written, at their best."""
    side, size = (CPU_SIDE, CPU_BYTES) if device == "cpu" else (CUDA_SIDE, CUDA_BYTES)
    matrix, copy = (min(times[f"{device}: {name}"]) for name in (MATRIX, COPY))
    return 2 * side**3 / matrix, 2 * size / copy

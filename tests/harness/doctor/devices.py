"""Whether GPU, driver, torch's build and bitsandbytes fit each other, and work."""

import json
import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

from .check import Check, gigabytes
from .installed import INSTALL, installed, older, pinned

ROOT = Path(__file__).resolve().parents[3]
SECONDS = 180  # for a process that loads torch on a busy machine
QUERY = ("--query-gpu=name,driver_version", "--format=csv,noheader")
CUDA_TORCH = "install a torch built for CUDA (https://pytorch.org/get-started/locally)"
FOR_GPU = "nothing to do for the CPU tests; `pytest -m gpu --gate` needs a machine with one"
ROOM = 8_000_000_000  # bytes: Llama-3.1-8B in NF4 and the headroom it is loaded with


def ran(module: str, environment: dict[str, str]) -> tuple[dict[str, Any], str]:
    """The facts that a module prints as JSON lines, and how its process died, if it did."""
    command = [sys.executable, "-m", module]
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            cwd=ROOT,
            env=environment,
            timeout=SECONDS,
        )
    except subprocess.TimeoutExpired:
        return {}, f"no answer within {SECONDS} s"
    facts: dict[str, Any] = {}
    for line in done.stdout.splitlines():
        if line.startswith("{"):
            facts |= json.loads(line)
    how = f"signal {-done.returncode}" if done.returncode < 0 else f"exit {done.returncode}"
    last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
    return facts, f"the process died ({how}): {last[:200]}" if done.returncode else ""


@cache
def probed() -> tuple[dict[str, Any], str]:
    """What loading and trying torch and bitsandbytes gave."""
    return ran("tests.harness.doctor.probe", dict(os.environ))


def cards() -> tuple[list[str], str]:
    """`name, driver` of every NVIDIA GPU, and what is wrong with asking for them."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        there = any(Path("/proc/driver/nvidia/gpus").glob("*"))
        return (["an NVIDIA GPU"], "") if there else ([], "")
    done = subprocess.run([tool, *QUERY], capture_output=True, text=True, check=False, timeout=60)
    said = (done.stdout + done.stderr).strip().splitlines()
    return ([], (said or ["nvidia-smi fails"])[0]) if done.returncode else (said, "")


def gpu() -> list[Check]:
    """GPU, driver and torch's build, one finding."""
    found, problem = cards()
    facts, death = probed()
    if problem:
        mend = "install or load the NVIDIA driver, or leave out the GPU tests"
        return [Check("gpu", "bad", f"the driver does not answer: {problem}", mend)]
    if not found:
        return [Check("gpu", "warn", "no NVIDIA GPU: tests marked gpu cannot run", FOR_GPU)]
    if "torch" not in facts:
        return [Check("gpu", "warn", f"{found[0]}; torch does not load, so it was not tried")]
    build = f"torch {facts['torch']}"
    if facts["cuda"] is None:
        return [Check("gpu", "bad", f"{found[0]}, and {build} is a CPU build", CUDA_TORCH)]
    if not facts["usable"]:
        why = facts["said"] or death or "torch does not say why"
        mend = f"update the NVIDIA driver, or {CUDA_TORCH} as old as the driver's"
        return [Check("gpu", "bad", f"{found[0]}: {build} cannot use it: {why}", mend)]
    room = f"{gigabytes(facts['free'])} of {gigabytes(facts['total'])} free"
    if facts["free"] < ROOM:
        mend = f"end what runs there: Llama-3.1-8B in NF4 needs {gigabytes(ROOM)}"
        return [Check("gpu", "warn", f"{found[0]}: {room}", mend)]
    return [Check("gpu", "ok", f"{found[0]}: {room}, CUDA {facts['cuda']}")]


def torch() -> list[Check]:
    """Whether torch loads."""
    facts, death = probed()
    if "torch" in facts:
        return [Check("torch", "ok", f"{facts['torch']} loads, device {facts.get('device')}")]
    why = facts.get("torch_error") or death
    return [Check("torch", "bad", f"cannot be loaded: {why}", INSTALL)]


def bitsandbytes() -> list[Check]:
    """Its version, and whether it quantises and a 4-bit layer computes."""
    name, number, pin = "bitsandbytes", installed("bitsandbytes"), pinned()["bitsandbytes"]
    if not number:
        return [Check(name, "bad", "not installed: no model loads in 4 bit", INSTALL)]
    if older(number, pin):
        mend = f"pip install bitsandbytes=={pin}"
        return [Check(name, "bad", f"{number} is older than {pin}, which the suite needs", mend)]
    facts, death = probed()
    if "torch" not in facts:
        return [Check(name, "warn", f"{number}; not tried, because torch does not load", INSTALL)]
    if fault := facts.get("import_error"):
        return [Check(name, "bad", f"{number} cannot be loaded: {fault}", INSTALL)]
    if fault := facts.get("fault", death):
        return [Check(name, "bad", f"{number}: {fault}", INSTALL)]
    return [Check(name, "ok", f"{number}: a 4-bit layer computes on {facts['device']}")]

"""Disk and memory, against what the files and runs that are not there yet will take."""

import os
import shutil
import tempfile
from pathlib import Path

from ..bundle import is_intact
from ..cache import cache_folder
from ..checkpoints import SPARE
from ..device import available_on_linux
from ..memory import footprint
from ..models import registry
from .check import Check, gigabytes
from .devices import cards

BUNDLE = 500_000_000  # bytes: 240 MB of packages, what is unpacked of them, and the folders
LOWEST = 200_000_000  # bytes that tests write for a while
ENVIRONMENTS = 500_000_000  # bytes of two environments of the drift report
MEMORY = 3_000_000_000  # bytes: tests/conformance and tests/quantized in one process took 2.2 GB


def needs() -> dict[str, int]:
    """What is still to be written into the cache: purpose to bytes."""
    models = registry().values()
    found = {} if all(map(is_intact, models)) else {"the bundle": BUNDLE}
    gpu = bool(cards()[0])
    for model in models:
        kept = any((cache_folder() / "weights").glob(f"{model.key}-*"))
        if not kept and ("cpu" in model.quantized_on or (gpu and "cuda" in model.quantized_on)):
            found[f"weights of {model.key}"] = footprint(model, "bf16").parameters + SPARE
    return found or {"two environments of the drift report": ENVIRONMENTS}


def nearest(folder: Path) -> Path:
    """The folder, or the nearest one above it that is there."""
    return next(it for it in (folder, *folder.parents) if it.exists())


def disk() -> list[Check]:
    """Free bytes where the cache and temporary files are."""
    wanted = needs()
    mend = "free some space, or set MODEL_CONFORMANCE_CACHE to a folder on another disk"
    purpose = ", ".join(f"{what} {gigabytes(size)}" for what, size in wanted.items())
    checks = [space("disk: cache", cache_folder(), sum(wanted.values()), purpose, mend)]
    mend = "free some space, or set TMPDIR to a folder on another disk"
    temporary = Path(tempfile.gettempdir())
    return [*checks, space("disk: temporary", temporary, LOWEST, gigabytes(LOWEST), mend)]


def space(name: str, folder: Path, need: int, purpose: str, mend: str) -> Check:
    """Whether there is room in a folder, and whether it can be written."""
    place = nearest(folder)
    free = shutil.disk_usage(place).free
    if not (place.is_dir() and os.access(place, os.W_OK | os.X_OK)):
        return Check(name, "bad", f"{place} cannot be written", mend)
    found = f"{gigabytes(free)} free in {place}"
    if free >= need:
        return Check(name, "ok", found)
    # What is too little for the large weights may do for everything else.
    return Check(name, "bad" if free < BUNDLE else "warn", f"{found}; needed: {purpose}", mend)


def memory() -> list[Check]:
    """Memory that processes can still have; where the system does not say, nothing is found."""
    free = available_on_linux()
    found = f"{gigabytes(free)} available"
    if free >= MEMORY:
        return [Check("memory", "ok", found if free < 2**62 else "not known on this system")]
    mend = "end other programs; without pytest's -n one process suffices"
    return [Check("memory", "warn", f"{found}; needed: {gigabytes(MEMORY)}", mend)]

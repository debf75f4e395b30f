"""A tokenizer's folder, examined once a session: what is wrong with it, in one line."""

import os
from pathlib import Path

from ..data.registry import Model
from ..errors import AssetError
from ..files import sha256
from .entries import UnfitError, read_files
from .limits import Limits, Report, in_child
from .trial import try_folder

_MEMORY = 1 << 30  # bytes beyond this process's own, and so many for each byte of a file:
_MEMORY_EACH = 12
_CPU = 3  # seconds, and one more for so many bytes: four times what a sound folder takes
_CPU_BYTES = 3_000_000
_EXAMINED: dict[tuple[object, ...], str] = {}  # what is wrong, by path and state of the files
_WALL = 4.0  # times the CPU time: others may use the processor


def fault_of(folder: Path, pinned: Model | None = None) -> str:
    """What is wrong with a folder, naming file and key, in one line; empty if it may be loaded.

    Files with exactly the pinned bytes are known, and not tried. The folder is examined once a
    session. Raises AssetError if it cannot be read.
    """
    return _examine(folder.absolute(), pinned)


def refuse(folder: Path, pinned: Model | None, subject: str, fix: str) -> None:
    """AssetError, which ends with the fix, if the folder must not be loaded."""
    try:
        fault = fault_of(folder, pinned)
    except AssetError as error:
        raise AssetError(f"{subject}: {error}") from None
    if fault:
        raise AssetError(f"{subject}: {fault}: {fix}")


def _examine(folder: Path, pinned: Model | None) -> str:
    try:
        paths = read_files(folder)
        chats = pinned is not None and pinned.can("chat")
        state = (folder, chats, *((path.name, *_mark(path)) for path in paths))
        if state not in _EXAMINED:
            is_known = pinned is not None and _is_pinned(paths, pinned)
            _EXAMINED[state] = "" if is_known else _try_apart(folder, paths, chats)
        return _EXAMINED[state]
    except UnfitError as unfit:
        return unfit.line(folder)


def _mark(path: Path) -> tuple[int, int, int]:
    found = path.stat()
    return found.st_size, found.st_mtime_ns, found.st_ino


def _is_pinned(paths: list[Path], model: Model) -> bool:
    """Whether all that is read are the registry's files, and have their bytes."""
    pins = {name: file.sha256 for name, file in model.files.items()}
    return all(path.name in pins and sha256(path) == pins[path.name] for path in paths) and {
        path.name for path in paths
    } == set(pins)


def _try_apart(folder: Path, paths: list[Path], chats: bool) -> str:
    """Load and use the folder in a child process with limits; what is wrong with it."""
    os.environ |= {"HF_HUB_OFFLINE": "1"}
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    # Here, where it is needed anyway: the child then has no seconds of importing to do.
    from transformers import AutoTokenizer, LlamaConfig, PreTrainedTokenizerFast  # noqa: F401

    size = sum(path.stat().st_size for path in paths)
    cpu = _CPU + size // _CPU_BYTES
    limits = Limits(_MEMORY + _MEMORY_EACH * size, cpu, _WALL * cpu)
    names = {str(path.relative_to(folder.resolve())) for path in paths}

    def work(report: Report) -> list[str]:
        try:
            try_folder(folder, names, chats, lambda *words: report("\t".join(words)))
        except UnfitError as unfit:
            return [unfit.file, unfit.what, unfit.key]
        return []

    ending = in_child(work, limits)
    if ending.death:
        file, key, doing = (ending.step or "the files\t\tin the beginning").split("\t")
        return UnfitError(file, f"{ending.death} {doing}", key).line(folder)
    return UnfitError(*ending.result).line(folder) if ending.result else ""

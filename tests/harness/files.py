"""Where things are on disk, and files that are written whole or not at all."""

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

import platformdirs
from filelock import FileLock, Timeout

PROJECT = Path(__file__).resolve().parents[2]
TESTS, FIXTURES = PROJECT / "tests", PROJECT / "fixtures"
_SCRATCH = ".scratch"


def cache_folder() -> Path:
    """Where built files are kept: MODEL_CONFORMANCE_CACHE, else the user's cache folder."""
    override = os.environ.get("MODEL_CONFORMANCE_CACHE")
    return Path(override or platformdirs.user_cache_dir("model-conformance")).absolute()


def sha256(path: Path) -> str:
    """Hex digest of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def sha256_text(text: str) -> str:
    """Hex digest of a text's UTF-8 bytes."""
    return hashlib.sha256(text.encode()).hexdigest()


@contextmanager
def scratch_folder(home: Path) -> Iterator[Path]:
    """A folder in `home` that is removed at the end; so are those of killed processes, before.

    Whoever holds the lock beside a folder is alive, in whatever container.
    """
    home.mkdir(parents=True, exist_ok=True)
    with FileLock(home / f"{_SCRATCH}.lock"):
        for lock in home.glob(f"{_SCRATCH}-*.lock"):
            with suppress(Timeout), FileLock(lock, timeout=0):
                shutil.rmtree(lock.with_suffix(""), ignore_errors=True)
                lock.unlink()
        folder = home / f"{_SCRATCH}-{uuid4().hex}"
        own = FileLock(folder.with_suffix(".lock"))
        own.acquire()
        folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        Path(own.lock_file).unlink(missing_ok=True)
        own.release()


def why_unwritable(path: Path) -> str:
    """Why a file cannot be written there, asked before the work it is to hold; empty if it can."""
    home = path.absolute().parent
    if path.is_dir():
        return f"{path}: is a folder; give a file"
    if not (home.is_dir() and os.access(home, os.W_OK | os.X_OK)):
        return f"{path}: cannot be written: {home} is no folder that can be written"
    return ""


def write_atomically(path: Path, content: str | Callable[[Path], object]) -> None:
    """Replace a file whole or not at all, whatever happens to the process or the disk.

    `content` is the text, or a function that fills the file it is given. OSError passes through.
    Of two processes at a time that write one file, one may fail.
    """
    for leftover in path.parent.glob(f".{path.name}.*"):  # of a killed process
        if leftover.suffix[1:].isdecimal():
            leftover.unlink(missing_ok=True)
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        if isinstance(content, str):
            scratch.write_bytes(content.encode())
        else:
            content(scratch)
        with scratch.open("rb+") as stream:
            os.fsync(stream.fileno())
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)

"""Where things are on disk, and files that are written whole or not at all."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import platformdirs

PROJECT = Path(__file__).resolve().parents[2]
TESTS, FIXTURES = PROJECT / "tests", PROJECT / "fixtures"


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

"""Where things are on disk, and files that are written whole or not at all."""

import hashlib
import os
import tempfile
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


def storage_sentence(error: OSError) -> str:
    """One line for a cache that cannot be written."""
    what = error.strerror or str(error)
    return (
        f"the bundle cannot be built in {cache_folder()}: {what}; free 500 MB there or set "
        "MODEL_CONFORMANCE_CACHE to a folder that can be written"
    )


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a file beside `path` and put it in its place; OSError passes through."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        write(scratch)
        with scratch.open("rb+") as stream:
            os.fsync(stream.fileno())
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)


def write_text_atomically(path: Path, text: str) -> None:
    """Replace a file whole or not at all, whatever happens to the process or the disk."""
    path.parent.mkdir(exist_ok=True)
    for leftover in path.parent.glob(f".{path.name}.*"):  # of a killed process
        leftover.unlink()
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(text.encode())
            stream.flush()
            os.fsync(stream.fileno())
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise

"""The cache of built files: where it is, and how its bytes are checked."""

import hashlib
import os
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

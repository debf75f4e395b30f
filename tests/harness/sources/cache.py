"""Environments and results of drift and latency that are kept between runs: how much, how long.

Only folders that hold our mark are ever removed: MODEL_CONFORMANCE_CACHE may be set to a folder
with files of its user, and links may lead anywhere.
"""

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ..errors import AssetError
from ..files import cache_folder, scratch_folder

KINDS = ("environments", "drift")  # folders of the cache whose entries can be made again
LIMIT = 10_000_000_000  # bytes that they may take
RECENT = 6 * 3600  # seconds after its last use in which an entry may still be in use
_MARK = ".model-conformance"
_REPORTS = "reports"  # of drift, which are its user's


@dataclass(frozen=True)
class Entry:
    """A folder that we made: `size` in bytes on the disk, `used` in seconds since the epoch."""

    path: Path
    size: int
    used: float

    def __str__(self) -> str:
        """Kind and name, size, last use."""
        day = time.strftime("%Y-%m-%d", time.localtime(self.used))
        return f"{self.path.parent.name}/{self.path.name}: {self.size / 1e9:.2f} GB, used {day}"


def mark_used(folder: Path) -> None:
    """Say that an entry is ours, and in use now."""
    (folder / _MARK).touch()


def entries() -> list[Entry]:
    """The entries that may be removed, the one that was used longest ago first."""
    found = (_entry(path) for path in _folders() if _is_ours(path))
    return sorted(filter(None, found), key=lambda entry: entry.used)


def unmarked() -> list[Path]:
    """What lies among the entries and is left alone: older than our mark, links, or not ours."""
    return [path for path in _folders() if not _is_ours(path)]


def prune(limit: int) -> list[Entry]:
    """Remove what was used longest ago until the rest takes at most `limit` bytes; what went.

    What was used within the last hours stays, and each goes out of reach before it is removed, so
    that a killed process leaves nothing half removed. AssetError for one that cannot be removed.
    """
    waiting, removed = entries(), []
    total = sum(entry.size for entry in waiting)
    for entry in waiting:
        if total <= limit or time.time() - entry.used < RECENT:
            break
        if _remove(entry):
            removed.append(entry)
        if not entry.path.exists():
            total -= entry.size
    return removed


def _remove(entry: Entry) -> bool:
    """Whether it went: other processes use and prune the same cache."""
    path = entry.path
    try:
        with scratch_folder(path.parent) as scratch:
            if (path / _MARK).stat().st_mtime > entry.used:  # used while the others were counted
                return False
            path.rename(scratch / path.name)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise AssetError(f"{path}: cannot be removed: {error.strerror or error}") from None
    return True


def _folders() -> Iterator[Path]:
    for kind in KINDS:
        home = cache_folder() / kind
        if home.is_dir() and not home.is_symlink():
            shown = (path for path in home.iterdir() if not path.name.startswith("."))
            yield from sorted(path for path in shown if path.is_dir() and path.name != _REPORTS)


def _is_ours(path: Path) -> bool:
    mark = path / _MARK
    return not path.is_symlink() and mark.is_file() and not mark.is_symlink()


def _entry(path: Path) -> Entry | None:
    """An entry's figures; links in it are not followed, and what has two names counts once.

    None if another process has removed it since it was listed.
    """
    sizes: dict[tuple[int, int], int] = {}
    for folder, names, files in os.walk(path):
        for name in (*names, *files):
            with suppress(FileNotFoundError):  # a temporary file of whoever uses it
                found = (Path(folder) / name).lstat()
                sizes[found.st_dev, found.st_ino] = found.st_blocks * 512
    try:
        return Entry(path, sum(sizes.values()), (path / _MARK).stat().st_mtime)
    except FileNotFoundError:
        return None

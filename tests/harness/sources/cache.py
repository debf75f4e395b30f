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
File = tuple[int, int]  # device and inode


@dataclass(frozen=True)
class Entry:
    """A folder that we made, last used at `used` seconds since the epoch.

    `size` is in bytes on the disk. Environments share files by links: one counts with the entry
    that was used last, so that sizes add up, and tell what is freed from the oldest on.
    """

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
    figures = filter(None, (_figures(path) for path in _folders() if _is_ours(path)))
    found, counted = [], set[File]()
    for path, used, sizes in sorted(figures, key=lambda each: -each[1]):
        own = sizes.keys() - counted
        found.append(Entry(path, sum(sizes[file] for file in own), used))
        counted |= own
    return found[::-1]


def unmarked() -> list[Path]:
    """What lies among the entries and is left alone: older than our mark, links, or not ours."""
    return [path for path in _folders() if not _is_ours(path)]


def due(limit: int) -> Iterator[Entry]:
    """What was used longest ago, until the rest takes at most `limit` bytes.

    None that was used within the last hours.
    """
    waiting = entries()
    total = sum(entry.size for entry in waiting)
    for entry in waiting:
        if total <= limit or time.time() - entry.used < RECENT:
            return
        yield entry
        total -= entry.size


def prune(limit: int) -> list[Entry]:
    """Remove what is due; what went.

    Each goes out of reach before it is removed, so that a killed process leaves nothing half
    removed. AssetError for one that cannot be removed.
    """
    return [entry for entry in due(limit) if _remove(entry)]


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


def _figures(path: Path) -> tuple[Path, float, dict[File, int]] | None:
    """When an entry was used last, and its files' sizes; links in it are not followed.

    None if another process has removed it since it was listed.
    """
    sizes: dict[File, int] = {}
    for folder, names, files in os.walk(path):
        for name in (*names, *files):
            with suppress(FileNotFoundError):  # a temporary file of whoever uses it
                found = (Path(folder) / name).lstat()
                sizes[found.st_dev, found.st_ino] = found.st_blocks * 512
    try:
        return path, (path / _MARK).stat().st_mtime, sizes
    except FileNotFoundError:
        return None

"""A part of a cache: how large it is, what in it is broken, and what may be deleted."""

import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ..visible import quote
from .check import Check, gigabytes

SHOWN = 3  # names of a kind; the command has all of them


@dataclass(frozen=True)
class Part:
    """What was seen of a folder; every list is of things that are there."""

    name: str
    folder: Path
    summary: str
    broken: tuple[str, ...] = ()  # a sentence each
    rebuild: str = ""  # what makes the broken good again
    leftover: tuple[Path, ...] = ()  # of killed processes, or partly downloaded
    spare: tuple[Path, ...] = ()  # of other versions of the project, which may still want it
    unknown: tuple[Path, ...] = ()  # nothing of ours


def check_of(part: Part) -> Check:
    """The part as one finding: broken is bad, leftovers and unknown files are a warning."""
    words = {
        "leftovers of a killed run": part.leftover,
        "unknown": part.unknown,
        "of other versions": part.spare,
    }
    found = [f"{part.summary}, {gigabytes(size(part.folder))} in {part.folder}", *part.broken]
    found += [f"{word}: {named(paths)}" for word, paths in words.items() if paths]
    mends = [part.rebuild] if part.broken else []
    if part.leftover:
        mends.append(f"if no other run is going on: {remove(part.leftover)}")
    if part.unknown:
        mends.append(f"if you do not need it: {remove(part.unknown)}")
    if part.spare:
        mends.append(f"to free {gigabytes(sum(map(size, part.spare)))}: {remove(part.spare)}")
    warn = "warn" if part.leftover or part.unknown else "ok"
    return Check(part.name, "bad" if part.broken else warn, "; ".join(found), "; ".join(mends))


def named(paths: Iterable[Path]) -> str:
    """A few names, quoted, since names of unknown files may hold anything."""
    names = [quote(path.name) for path in paths]
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def remove(paths: Iterable[Path]) -> str:
    """The command that deletes them; the doctor deletes nothing."""
    return "rm -r -- " + " ".join(shlex.quote(str(path)) for path in paths)


def size(path: Path) -> int:
    """Bytes of a file or of all files below a folder; links count nothing."""
    found = path.rglob("*") if path.is_dir() else [path]
    return sum(it.stat().st_size for it in found if it.is_file() and not it.is_symlink())


def entries(folder: Path) -> list[Path]:
    """What is in a folder, by name, locks aside; nothing if there is no folder."""
    if not folder.is_dir():
        return []
    return sorted(it for it in folder.iterdir() if it.suffix != ".lock" and it.name != ".lock")


def half_done(path: Path) -> bool:
    """Whether an entry is one that a run makes and takes away, or moves in place, itself."""
    return path.name.startswith((".", "tmp")) or path.suffix in (".incomplete", ".new")

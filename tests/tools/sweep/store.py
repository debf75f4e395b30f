"""What is on disk of a sweep: the manifest, parts that are only ever added, and what is done."""

import json
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from tests.harness.atomic import write_atomically
from tests.harness.secrets import scrub

from .scoring import SweepError

MANIFEST, ROOM, PARTS = "manifest.json", "batch_tokens.json", "parts"


def write_lines(path: Path, lines: Iterable[dict[str, Any]]) -> None:
    """JSON lines, all of them or nothing."""

    def write(scratch: Path) -> None:
        with scratch.open("w", encoding="utf-8") as stream:
            stream.writelines(scrub(json.dumps(line)) + "\n" for line in lines)

    write_atomically(path, write)


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The lines of a file of ours; SweepError if it was changed by others."""
    try:
        with path.open(encoding="utf-8") as stream:
            for line in stream:
                yield json.loads(line)
    except (OSError, ValueError) as error:
        raise SweepError(
            f"{path}: {error}: delete this file, and its rows are asked again"
        ) from None


@dataclass
class Store:
    """One folder, and one process of those that fill it."""

    folder: Path
    rank: int = 0
    world: int = 1
    every: float = 20.0  # seconds; at most so much work is lost when the process is killed
    waiting: list[dict[str, Any]] = field(default_factory=list)
    flushed: float = field(default_factory=time.monotonic)

    @contextmanager
    def claimed(self) -> Iterator[None]:
        """The folder for this process; SweepError if another one of its rank is at work there."""
        (self.folder / PARTS).mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(self.folder / f".rank{self.rank}.lock", timeout=0):
                yield
        except Timeout:
            raise SweepError(
                f"{self.folder}: another sweep writes there: wait or stop it"
            ) from None

    @contextmanager
    def alone(self) -> Iterator[None]:
        """One process at a time, of all that fill the folder."""
        with FileLock(self.folder / ".lock"):
            yield

    def agree(self, name: str, value: Any) -> Any:
        """What the folder holds under this name: what the first process that came here said."""
        path = self.folder / name
        with self.alone():
            if not path.is_file():
                write_lines(path, [value])
            return next(read_lines(path))

    def check_identity(self, identity: dict[str, Any]) -> None:
        """Start a folder, or go on with one of the same identity; SweepError names what differs."""
        held = self.agree(MANIFEST, identity)
        keys = [key for key in held | identity if held.get(key) != identity.get(key)]
        if keys:
            differ = "; ".join(
                f"{key}: {held.get(key)} there, {identity.get(key)} asked" for key in keys
            )
            raise SweepError(
                f"{self.folder} holds a sweep of other {', '.join(keys)} ({differ}): give another "
                "--out, or delete that folder"
            )

    def begin(self) -> None:
        """The first answer is about to be asked for: from now on the clock runs."""
        self.flushed = time.monotonic()

    def add(self, lines: Iterable[dict[str, Any]]) -> None:
        """Keep results; they are written when some seconds have passed since the last time."""
        self.waiting += lines
        if time.monotonic() - self.flushed > self.every:
            self.flush()

    def flush(self) -> None:
        """Write what is waiting as one part more, with the seconds it took."""
        seconds, self.flushed = time.monotonic() - self.flushed, time.monotonic()
        if self.waiting:
            taken = len(list((self.folder / PARTS).iterdir()))
            name = f"{taken:06}-rank{self.rank}of{self.world}-{os.getpid()}.jsonl"
            tail = {"seconds": seconds}
            write_lines(self.folder / PARTS / name, [*self.waiting, tail])
            self.waiting = []

    def parts(self) -> list[Path]:
        """All parts of all processes, by name."""
        return sorted((self.folder / PARTS).glob("[0-9]*.jsonl"))

    def results(self) -> Iterator[tuple[Path, dict[str, Any]]]:
        """Every row's line with the part that holds it, in no order."""
        for part in self.parts():
            for line in read_lines(part):
                if "number" in line:
                    yield part, line

    def seconds(self) -> Iterator[tuple[str, float]]:
        """(rank, seconds) of each part; a rank is written `0of2`."""
        for part in self.parts():
            rank = part.name.split("-")[1].removeprefix("rank")
            yield rank, next(line["seconds"] for line in read_lines(part) if "seconds" in line)

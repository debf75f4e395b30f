"""The files of a sweep that is under way: the manifest, and parts that are only ever added."""

import json
import os
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from tests.harness.errors import DataError
from tests.tools.rows import write_lines


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The lines of a file of ours; DataError if something else changed it."""
    try:
        with path.open(encoding="utf-8") as stream:
            yield from map(json.loads, stream)
    except (OSError, ValueError) as error:
        fix = "delete this file, and its rows are answered again"
        raise DataError(f"{path}: {error}: {fix}") from None


@dataclass
class Store:
    """One folder, as one of the processes that fill it sees it."""

    folder: Path
    rank: int = 0
    world: int = 1
    every: float = 20.0  # seconds; at most so much work is lost when the process is killed
    waiting: list[dict[str, Any]] = field(default_factory=list)
    flushed: float = field(default_factory=time.monotonic)

    @property
    def parts(self) -> list[Path]:
        """The parts of all processes, in the order they were begun."""
        return sorted((self.folder / "parts").glob("[0-9]*.jsonl"))

    @contextmanager
    def claimed(self) -> Iterator[None]:
        """Hold the folder for this process; DataError if another one of its rank is there."""
        (self.folder / "parts").mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(self.folder / f".rank{self.rank}.lock", timeout=0):
                own = f".*-rank{self.rank}of*.jsonl.*"
                for leftover in (self.folder / "parts").glob(own):  # of a killed process
                    leftover.unlink(missing_ok=True)
                yield
        except Timeout:
            message = f"{self.folder}: another sweep writes there: wait or stop it"
            raise DataError(message) from None

    def exclusive(self) -> FileLock:
        """One process at a time, of all that fill the folder."""
        return FileLock(self.folder / ".lock")

    def check_identity(self, identity: dict[str, Any]) -> None:
        """Start a folder, or go on with one of the same identity; DataError names what differs."""
        manifest = self.folder / "manifest.json"
        with self.exclusive():
            if not manifest.is_file():
                write_lines(manifest, [identity])
            held = next(read_lines(manifest))
        if keys := [key for key in held | identity if held.get(key) != identity.get(key)]:
            values = (f"{key}: {held.get(key)} there, {identity.get(key)} given" for key in keys)
            raise DataError(
                f"{self.folder} holds a sweep of other {', '.join(keys)} ({'; '.join(values)}): "
                "give another --out, or delete that folder"
            )

    def add(self, lines: Iterable[dict[str, Any]]) -> None:
        """Keep results; they are written when some seconds have passed since the last time."""
        self.waiting += lines
        if time.monotonic() - self.flushed > self.every:
            self.flush()

    def flush(self) -> None:
        """Write what is waiting as one part more, with the seconds it took."""
        seconds, self.flushed = time.monotonic() - self.flushed, time.monotonic()
        if self.waiting:
            taken = len(list((self.folder / "parts").iterdir()))
            name = f"{taken:06}-rank{self.rank}of{self.world}-{os.getpid()}.jsonl"
            write_lines(self.folder / "parts" / name, [*self.waiting, {"seconds": seconds}])
            self.waiting = []

    def results(self) -> dict[int, dict[str, Any]]:
        """The line of each row that any process has finished, by its number."""
        lines = (line for part in self.parts for line in read_lines(part))
        return {line["number"]: line for line in lines if "number" in line}

    def seconds(self) -> float:
        """Wall seconds of all runs; those of the same number of processes worked side by side."""
        worlds: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
        for part in self.parts:
            rank, _, world = part.name.split("-")[1].partition("of")
            worlds[world][rank] += sum(line.get("seconds", 0.0) for line in read_lines(part))
        return sum(max(ranks.values()) for ranks in worlds.values())

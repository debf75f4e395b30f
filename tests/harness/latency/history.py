"""What one machine measured over time: a line of JSON a recording, in a file beside it."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from math import comb
from pathlib import Path
from statistics import median

from pydantic.dataclasses import dataclass

from ..data.schema import STRICT, parse
from ..errors import DataError
from ..files import write_atomically
from ..redaction import redact
from .recording import Machine, Recording, Seconds

WHOLE, MOST = 50, 100  # of more lines than these, every second older than the newest 50 goes
Point = tuple[Seconds, Seconds, Seconds]  # a median, between the ends of its interval


@dataclass(frozen=True, config=STRICT)
class Past:
    """A recording in short: `medians` by benchmark, each between the ends of its interval."""

    when: str  # ISO 8601, in UTC
    machine: Machine
    versions: dict[str, str]
    medians: dict[str, Point]


def history_file(recording: Path) -> Path:
    """`baseline.history.jsonl` beside `baseline.json`."""
    return recording.with_suffix(".history.jsonl")


def point(figures: Sequence[float], confidence: float) -> Point:
    """The median of processes, and the interval of it that so many of them allow.

    Exact, as each process is as often above as below: of fewer than eight all are in it.
    """
    ordered, number, dropped, seen = sorted(figures), len(figures), 0, 0
    while dropped < (number - 1) // 2:
        seen += comb(number, dropped)
        if 2 * seen > (1 - confidence) * 2**number:
            break
        dropped += 1
    outer = max(dropped - 1, 0)
    return ordered[outer], median(ordered), ordered[number - 1 - outer]


def past_of(recording: Recording, confidence: float) -> Past:
    """A recording of now."""
    return Past(
        when=datetime.now(UTC).isoformat(timespec="seconds"),
        machine=recording.machine,
        versions=recording.versions,
        medians={
            name: point(timed.quartiles(), confidence)
            for name, timed in recording.benchmarks.items()
        },
    )


def read_history(path: Path) -> list[Past]:
    """The lines of a file, the oldest first; none if there is no file. DataError names a line."""
    try:
        lines = path.read_bytes().splitlines() if path.exists() else []
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None
    past = []
    for number, line in enumerate(lines, 1):
        try:
            content = json.loads(line)
            past.append(parse(Past, content, path, f"line {number}"))
        except (ValueError, TypeError, RecursionError) as error:
            raise DataError(
                f"{path}: line {number} is no run of --latency-save ({error}); take it out"
            ) from None
    return past


def add_to_history(path: Path, now: Past) -> None:
    """Add a line, and thin what is old; DataError if the file cannot be read or written."""
    lines = thinned([*read_history(path), now])
    text = "".join(redact(json.dumps(asdict(line))) + "\n" for line in lines)
    try:
        write_atomically(path, text)
    except OSError as error:
        raise DataError(f"{path}: cannot be written: {error.strerror}") from None


def thinned(past: Sequence[Past]) -> list[Past]:
    """All lines, or of more than `MOST` the newest `WHOLE` and every second before them."""
    if len(past) <= MOST:
        return list(past)
    return [*past[:-WHOLE:2], *past[-WHOLE:]]

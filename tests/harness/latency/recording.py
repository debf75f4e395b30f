"""Recorded latencies: the file `--latency-save` writes and `--latency-baseline` compares with."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, field, replace
from operator import truediv
from pathlib import Path
from statistics import median
from typing import Annotated

from pydantic import Field
from pydantic.dataclasses import dataclass

from ..data.schema import STRICT, parse
from ..errors import DataError
from ..files import write_atomically
from ..redaction import redact
from .statistics import lower_quartile

_AGAIN = "record it again with --latency-save"
FORMAT = 2  # another one wherever times of before and after cannot be compared
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Rounds = Annotated[tuple[Seconds, ...], Field(min_length=1)]
Keys = dict[str, str | int]  # what must be equal for two timings to be comparable
Processes = Annotated[tuple[Rounds, ...], Field(min_length=1)]  # seconds by process and round
Machine = dict[str, dict[str, str]]  # what each device is


@dataclass(frozen=True, config=STRICT)
class Timed:
    """One benchmark's seconds by process and round.

    `pace` is the seconds of fixed work beside each round; not on CUDA, where the host's pace
    matters little.
    """

    keys: Keys
    seconds: Processes
    pace: tuple[Rounds, ...] = ()

    def quartiles(self) -> list[float]:
        """The lower quartile of each process's rounds, in seconds: noise only adds time."""
        return list(map(lower_quartile, self.seconds))

    def typical(self) -> float:
        """One time for all rounds of all processes: the median of `quartiles`."""
        return median(self.quartiles())

    def figures(self) -> list[float]:
        """What is compared, a figure a process.

        `quartiles`; where there is a pace, the median of rounds over pace, for noise in the pace
        makes that smaller, too.
        """
        if not self.pace:
            return self.quartiles()
        pairs = zip(self.seconds, self.pace, strict=True)
        return [median(map(truediv, rounds, paces)) for rounds, paces in pairs]


@dataclass(frozen=True, config=STRICT)
class Recording:
    """What a run measured; `controls` is the machine's fixed work."""

    format: int
    machine: Machine
    versions: dict[str, str]  # libraries may differ: they are what is compared
    controls: dict[str, Processes] = field(default_factory=dict)
    benchmarks: dict[str, Timed] = field(default_factory=dict)


def read_recording(path: Path) -> Recording:
    """Read a recording; DataError names file, table and what to do."""
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; record one with --latency-save {path}") from None
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path}: not a recording ({error}); {_AGAIN}") from None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise DataError(f"{path}: not a recording of format {FORMAT}; {_AGAIN}")
    return parse(Recording, content, path, "recording")


def write_recording(path: Path, recording: Recording) -> None:
    """Write it whole or not at all; DataError if the file cannot be written."""
    text = redact(json.dumps(asdict(recording), indent=1)) + "\n"
    try:
        write_atomically(path, text)
    except OSError as error:
        raise DataError(f"{path}: cannot be written: {error.strerror}") from None


def merge(recordings: Sequence[Recording]) -> Recording:
    """The processes of several recordings of the same benchmarks on one machine, in order."""
    first = recordings[0]
    controls = {
        name: sum((recording.controls[name] for recording in recordings), ())
        for name in first.controls
    }
    benchmarks = {
        name: Timed(
            timed.keys,
            sum((recording.benchmarks[name].seconds for recording in recordings), ()),
            sum((recording.benchmarks[name].pace for recording in recordings), ()),
        )
        for name, timed in first.benchmarks.items()
    }
    return replace(first, controls=controls, benchmarks=benchmarks)


def differences(there: Mapping[str, object], here: Mapping[str, object]) -> list[str]:
    """`driver '580.1', here '570.2'` for each key that differs or is missing on one side."""
    return [
        f"{key} {there.get(key, 'none')!r}, here {here.get(key, 'none')!r}"
        for key in dict.fromkeys([*there, *here])
        if there.get(key) != here.get(key)
    ]


def machine_differences(recording: Recording, here: Machine) -> list[str]:
    """How a recording's machine differs; a device that one side lacks is not compared."""
    return [
        f"{device}: {line}"
        for device in recording.machine.keys() & here.keys()
        for line in differences(recording.machine[device], here[device])
    ]

"""Two processes that take turns: how they are started, and which of their errors is the cause."""

import os
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from .granted import Pipes, grant, two_pipes

_LEFT_ALONE = ("BrokenPipeError", "EOFError")


@dataclass(frozen=True)
class Started:
    """How a process is started.

    Behind its command come, as `8,9`, the descriptors that it reads and writes for its turns.
    """

    command: Sequence[str]
    folder: Path  # in which it runs
    variables: dict[str, str]
    log: Path  # what it prints

    @property
    def said(self) -> str:
        """What it has printed."""
        return self.log.read_text(errors="replace")


@dataclass(frozen=True)
class _Running:
    process: subprocess.Popen[bytes]
    pipes: Pipes


def _start(one: Started) -> _Running:
    ours, theirs = two_pipes()
    try:
        with one.log.open("wb") as output:
            process = subprocess.Popen(
                [*one.command, ",".join(map(str, theirs))],
                cwd=one.folder,
                env=one.variables,
                stdout=output,
                stderr=subprocess.STDOUT,
                pass_fds=theirs,
            )
    finally:  # the process has its own; ours would hide that it ended
        for pipe in theirs:
            os.close(pipe)
    return _Running(process, ours)


def run_in_turns(sides: Sequence[Started], seconds: float) -> list[int]:
    """Run a process for each of two sides, which take turns for so long at each thing they time.

    Their exit statuses, in their order.
    """
    running: list[_Running] = []
    try:
        for side in sides:
            running.append(_start(side))
        with suppress(BrokenPipeError):  # of a process that ended: its status says why
            grant([one.pipes for one in running], seconds)
    finally:
        for one in running:
            for pipe in one.pipes:
                os.close(pipe)  # which ends a process that still waits
        for one in running:
            one.process.wait()
    return [one.process.returncode for one in running]


def first_cause(reasons: Sequence[str]) -> str:
    """Of what the sides say the cause: who lost the other side says only that nobody is there."""
    return min(reasons, key=lambda line: any(word in line for word in _LEFT_ALONE))

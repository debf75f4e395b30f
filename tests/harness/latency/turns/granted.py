"""The turns that two processes take: one of them times a call, the other waits.

What slows the machine for longer than a turn slows both. The process that started the two
(`tests/tools/latency`) grants the turns, over two pipes each.
"""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import median
from threading import get_native_id
from typing import Any

from ..machine import synchronized

TURN = 0.01  # seconds; a shorter call is timed several times in a turn, with warm caches
BURST = 0.001  # seconds; of calls that are shorter so many are timed at once
TURNS = 4, 120  # of a benchmark in a pair of processes, at least and at most
TURNS_OF_CORE = 4  # in a row, then comes the next core
READY, GO, END = b"r", b"g", b"e"
Pipes = tuple[int, int]  # file descriptors, to read and to write


def unhindered() -> float:
    """Seconds of a clock that stands still while the calling thread waits for a core.

    Linux counts that wait, a second number in `schedstat`: it is other programs' work. A thread
    that sleeps, reads or waits for CUDA is timed. Elsewhere it is `synchronized`.
    """
    if (schedstat := _schedstat(get_native_id())) is None:
        return synchronized()
    while True:  # until the thread has not lost its core between the two clocks
        waited, now = _waited(schedstat), synchronized()
        if _waited(schedstat) == waited:
            return now - waited / 1e9


def _waited(schedstat: int) -> int:
    return int(os.pread(schedstat, 64, 0).split()[1])


@cache
def _schedstat(thread: int) -> int | None:
    """A descriptor of the thread's file; None where there is none."""
    path = Path(f"/proc/self/task/{thread}/schedstat")
    return os.open(path, os.O_RDONLY | os.O_CLOEXEC) if path.exists() else None


@contextmanager
def _on_core(number: int) -> Iterator[None]:
    """Run this thread on one of its cores, the same for both sides: they are not equally fast."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {sorted(cores)[number % len(cores)]})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


@dataclass
class Turned:
    """A call that one process of two times in turns. `setup` runs before each turn, untimed."""

    call: Callable[[], Any]
    setup: Callable[[], None] | None
    receive: int  # file descriptors of the pipes
    send: int
    result: Any = None  # of the last call

    def measure(self, warmup: int) -> tuple[Any, tuple[float, ...]]:
        """What the last call returned, and the seconds of a call in each turn that was granted.

        Calls `warmup` times before its first turn. EOFError if whoever grants the turns is gone.
        """
        calls, passed = 1, 0.0
        for _ in range(warmup):
            passed = self._burst(calls)
        while passed and calls * passed < BURST:
            calls *= 2
            passed = self._burst(calls)
        times: list[float] = []
        while self._may_go():
            with _on_core(len(times) // TURNS_OF_CORE):
                times.append(self._turn(calls))
        return self.result, tuple(times)

    def _turn(self, calls: int) -> float:
        """The median of bursts of calls: what comes before it fills the caches anew."""
        if self.setup:
            self.setup()
        ends, bursts = time.perf_counter() + TURN, [self._burst(calls)]
        while time.perf_counter() < ends and not self.setup:
            bursts.append(self._burst(calls))
        return median(bursts)

    def _burst(self, calls: int) -> float:
        started = unhindered()
        for _ in range(calls):
            self.result = self.call()
        return (unhindered() - started) / calls

    def _may_go(self) -> bool:
        """Wait for a turn; whether there is another."""
        os.write(self.send, READY)
        word = os.read(self.receive, 1)
        if not word:
            raise EOFError("whoever grants the turns is gone")
        return word == GO


def two_pipes() -> tuple[Pipes, Pipes]:
    """Between who grants turns and a side: the descriptors of the one, and of the other."""
    receive, sides_send = os.pipe()
    sides_receive, send = os.pipe()
    return (receive, send), (sides_receive, sides_send)


def grant(pipes: Sequence[Pipes], seconds: float) -> None:
    """Grant turns to two processes, each time in the other order, until one closes its pipes.

    Each benchmark gets turns for so many seconds, within the limits of `TURNS`. `pipes` are the
    descriptors to read and to write of each.
    """
    order = [0, 1]
    while all(os.read(receive, 1) for receive, _ in pipes):  # both are ready for a benchmark
        ends, turns = time.perf_counter() + seconds, 0
        while turns < TURNS[0] or (turns < TURNS[1] and time.perf_counter() < ends):
            for receive, send in (pipes[side] for side in order):
                os.write(send, GO)
                if not os.read(receive, 1):
                    return
            order.reverse()
            turns += 1
        for _, send in pipes:
            os.write(send, END)

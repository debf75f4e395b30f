"""Rounds that wait for their turn: two processes time the same call alternately.

What slows the machine for longer than a turn slows both. The process that started the two
(`tests/tools/latency`) grants the turns, over two pipes each.
"""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

TURN = 0.05  # seconds; a shorter call is timed several times in a turn, with warm caches
READY, ENDED, GO = b"r", b"e", b"g"


@dataclass
class Turned:
    """A call of which one process of two makes its rounds in turns.

    Give `before` as the setup of every round; call `end` after the last.
    """

    call: Callable[[], Any]
    setup: Callable[[], None] | None
    receive: int  # file descriptors of the pipes
    send: int
    turn_ends: float = 0.0

    def before(self) -> None:
        """Prepare a round; once the turn is over, wait for the next."""
        if self.setup:
            self.setup()
        if time.perf_counter() >= self.turn_ends:
            self._wait(READY)
            self.turn_ends = time.perf_counter() + TURN

    def __call__(self) -> Any:
        """Call."""
        return self.call()

    def end(self, rounds: int) -> tuple[()]:
        """Wait until the other process has ended its rounds, too; turns need no pace."""
        self._wait(ENDED)
        return ()

    def _wait(self, message: bytes) -> None:
        os.write(self.send, message)
        if os.read(self.receive, 1) != GO:
            raise EOFError("whoever grants the turns is gone")


def grant(pipes: Sequence[tuple[int, int]]) -> None:
    """Grant turns to two processes, each time in the other order, until one closes its pipes.

    `pipes` are the descriptors to read and to write of each.
    """
    said = [os.read(receive, 1) for receive, _ in pipes]
    order = [0, 1]
    while all(said):
        ready = [side for side in order if said[side] == READY]
        for side in ready:
            os.write(pipes[side][1], GO)
            said[side] = os.read(pipes[side][0], 1)
        if not ready:  # both have ended a benchmark, and prepare the next at the same time
            for _, send in pipes:
                os.write(send, GO)
            said = [os.read(receive, 1) for receive, _ in pipes]
        order.reverse()

"""The machine's pace, taken between the rounds of a benchmark.

A CPU that slows down is not a slower library. Other users of a processor's cores make it slower
and faster by half within seconds, and a library's code with it. So between the rounds fixed work of
the standard library is timed: what is compared is a round over the mean of the work before and
after it.
"""

import json
import pickle
import re
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

SHARE = 0.1  # of the last round's time, spent before the next one
TEXT = json.dumps({"rows": [{"number": number, "text": "x" * number} for number in range(60)]})
PIECES = re.compile(r"\w+|\s+|[^\w\s]+")
ROWS = [{"number": number, "text": str(number), "pair": [number, -number]} for number in range(400)]
DATA = json.dumps(ROWS).encode()


def _work() -> None:
    """A millisecond or two of unlike work, all of the standard library, in about equal parts.

    What else runs on a core slows arithmetic, branches, small objects and memory by unlike factors,
    and a benchmark does some of each: one kind of work alone left 5 to 15 % of the noise, the
    mixture 2 to 3 %.
    """
    text = json.dumps(json.loads(TEXT))
    PIECES.findall(text[:3000])
    sorted(text[:2000])
    zlib.compress(DATA)
    for number in range(9000):
        number * number
    pickle.loads(pickle.dumps(ROWS))


def _seconds_of_work(least: float) -> float:
    """Mean seconds of the work, done once and then for at least so long."""
    started, times = time.perf_counter(), 0
    while True:
        _work()
        times += 1
        passed = time.perf_counter() - started
        if passed >= least:
            return passed / times


@dataclass
class Paced:
    """A call, and the pace before each of its rounds.

    Give `before` as the setup of every round; `end` then has the pace of the last rounds.
    """

    call: Callable[[], Any]
    setup: Callable[[], None] | None  # runs before the pace is taken
    last: float = 0.0  # seconds of the last call
    work: list[float] = field(default_factory=list)  # seconds of the work, at each end of a round

    def before(self) -> None:
        """Prepare a round, and take the pace."""
        if self.setup:
            self.setup()
        self.work.append(_seconds_of_work(SHARE * self.last))

    def __call__(self) -> Any:
        """Call, and remember how long it took."""
        started = time.perf_counter()
        result = self.call()
        self.last = time.perf_counter() - started
        return result

    def end(self, rounds: int) -> tuple[tuple[float, ...], ...]:
        """Of each of the last rounds: the mean of the work before and after it."""
        self.work.append(_seconds_of_work(SHARE * self.last))
        ends = self.work[-rounds - 1 :]
        return (tuple((before + after) / 2 for before, after in pairwise(ends)),)

"""Which calls became slower or faster, and by how much, from turns that two versions took.

A ratio's interval is that of `tests/harness/latency/turns/sequential.py` with one look, its 1 % of
errors divided by the calls of the step. A call is named if all of its interval lies beyond
`MARGIN`: libraries change by a few percent in most calls, and a page of them would hide the rest.

Measured with `python -m tests.tools.drift 5.24.0 5.24.0 --times`, also of 4.57.6 and 5.0.0, on two
cores that four to seven programs shared: of six such steps with 68 to 72 calls none named a call.
Half of the intervals reached 10 % or less on either side. Of 1,000 steps drawn from these pairs of
processes 1.0 % would have named a call with no margin, 0.1 % with one of 5 %, none with 10 %. Of
the calls 40 in 100 were named that took 20 % longer, 77 with 30 %, 90 with 40 %; with the three
steps of a calmer hour 61, 93 and 99.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from statistics import median
from typing import Self

from tests.harness.latency.spec import Rule, read_spec
from tests.harness.latency.statistics import format_seconds
from tests.harness.latency.turns.sequential import Estimate, log_ratios

PAIRS = 4  # of processes, each with another seed of hashes
MARGIN = 0.1
LAYOUT = 0.02  # standard deviation of a pair's ratio where nothing changed: memory's layout
Seconds = Sequence[float]  # of each turn of a process
LeftOut = dict[str, list[str]]  # calls, as `model call case`, by the reason


@dataclass(frozen=True)
class Change:
    """A call that became slower or faster: seconds before, the ratio to them, and its interval."""

    model: str
    call: str
    case: str
    seconds: float
    ratio: float
    low: float
    high: float

    @property
    def word(self) -> str:
        """`slower` or `faster`."""
        return "slower" if self.ratio > 1 else "faster"

    def __str__(self) -> str:
        """`x 1.42 (1.31 to 1.53) of 61.2 us`."""
        figures = self.ratio, self.low, self.high
        ratio, low, high = (f"{one:.2f}" if one >= 0.1 else f"{one:.2g}" for one in figures)
        return f"x {ratio} ({low} to {high}) of {format_seconds(self.seconds)}"


@dataclass(frozen=True)
class Turns:
    """A call's turns: the seconds of each, by pair of processes, in both versions."""

    model: str
    call: str
    case: str
    older: list[Seconds]
    newer: list[Seconds]

    def change(self, calls: int) -> Change | None:
        """What changed of one of so many calls; None if not all of the interval says that."""
        pairs = zip(self.older, self.newer, strict=True)
        estimate = Estimate.of([log_ratios(*pair) for pair in pairs])
        mean, reach = estimate.mean, estimate.reach(_rule(), calls)
        if abs(mean) - reach <= math.log1p(MARGIN):
            return None
        ends = map(math.exp, (mean, mean - reach, mean + reach))
        return Change(self.model, self.call, self.case, median(map(median, self.older)), *ends)


@cache
def _rule() -> Rule:
    """The rule of environments that take turns, with one look."""
    return replace(read_spec().rule, looks=(PAIRS,), layout=LAYOUT)


@dataclass(frozen=True)
class Times:
    """What was timed of a step; `left_out` has the calls that were not, by the reason."""

    models: tuple[str, ...]
    timed: int = 0
    left_out: LeftOut = field(default_factory=dict)
    changes: tuple[Change, ...] = ()
    problem: str = ""

    @classmethod
    def of(cls, turns: Sequence[Turns], models: Sequence[str], left_out: LeftOut) -> Self:
        """The slower ones come first, of both those that changed most."""
        found = [change for one in turns if (change := one.change(len(turns)))]
        found.sort(key=lambda one: (one.word != "slower", -abs(math.log(one.ratio))))
        return cls(tuple(models), len(turns), left_out, tuple(found))

    @property
    def differ(self) -> bool:
        """Whether a call is slower or faster, or it could not be told."""
        return bool(self.changes or self.problem)

    def __str__(self) -> str:
        """What was timed, on one line."""
        if self.problem:
            return f"times could not be taken: {self.problem}"
        slower = sum(one.word == "slower" for one in self.changes)
        found = f"{slower} slower and {len(self.changes) - slower} faster"
        reasons = [f"{len(calls)} {reason}" for reason, calls in self.left_out.items()]
        left = f"; left out: {', '.join(reasons)}" if reasons else ""
        calls = f"{self.timed} calls of {', '.join(self.models)} timed in turns"
        return f"{calls}: {found if self.changes else 'none'} by more than {MARGIN:.0%}{left}"

    @property
    def groups(self) -> list[str]:
        """A line for each call that became slower or faster, with the case that did so most."""
        groups: dict[str, list[Change]] = {}
        for one in self.changes:
            groups.setdefault(f"{one.word} {one.call}", []).append(one)
        return [
            f"{name}, {ones[0].model} {ones[0].case}: {ones[0]}"
            + (f"; {len(ones) - 1} more of its cases, less so" if len(ones) > 1 else "")
            for name, ones in groups.items()
        ]

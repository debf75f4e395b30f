"""Pairs of processes of two neighbouring versions, which time in turns what both do alike."""

import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic
from typing import Any

from tests.harness.errors import AssetError
from tests.harness.files import PROJECT
from tests.harness.latency.turns.processes import Started, first_cause, run_in_turns

from ..differences import ABSENT, error_of
from ..observers.calls import names_of
from ..runner import Seen, command_in
from .verdicts import PAIRS, LeftOut, Times, Turns

SECONDS = 0.2  # of both sides' turns of a call in a pair
TASK, OUT, LOG = "task.json", "out.json", "log"
FAILS, DIFFERS = "fail", "give another result"
Calls = dict[str, list[list[str]]]  # name and case, by model
Row = list[Any]  # name, case, seconds of the turns, and the last result


def time_step(older: Seen, newer: Seen, models: list[str], say: Callable[[str], None]) -> Times:
    """Time what both versions do alike of these models; a process that dies is the problem."""
    left_out: LeftOut = {}
    calls = {key: list(_alike(older, newer, key, left_out)) for key in models}
    calls = {key: wanted for key, wanted in calls.items() if wanted}
    started, pairs = monotonic(), []
    for seed in range(1, PAIRS + 1) if calls else ():
        with tempfile.TemporaryDirectory() as scratch:
            try:
                pairs.append(_take_turns((older, newer), calls, Path(scratch), seed))
            except AssetError as error:
                return Times(tuple(models), problem=str(error))
        what = f"{older.label} -> {newer.label}: {sum(map(len, calls.values()))} calls timed"
        say(f"{what}, pair {seed} of {PAIRS} ({monotonic() - started:.0f} s)")
    turns = [
        one
        for key in calls
        for one in turns_of(key, [side[key] for pair in pairs for side in pair], left_out)
    ]
    return Times.of(turns, models, left_out)


def turns_of(key: str, sides: list[list[Row]], left_out: LeftOut) -> Iterator[Turns]:
    """The calls of a model, from what older and newer side of one pair after the other timed."""
    for rows in zip(*sides, strict=True):
        call, case, _, result = rows[0]
        if result is None or any(row[3] != result for row in rows):
            _leave_out(left_out, DIFFERS, key, call, case)
        else:
            seconds = [row[2] for row in rows]
            yield Turns(key, call, case, seconds[::2], seconds[1::2])


def _alike(older: Seen, newer: Seen, key: str, left_out: LeftOut) -> Iterator[list[str]]:
    """The calls of a model that succeed in both versions and give the same."""
    sides = [seen.observed[key].get("calls", {}) for seen in (older, newer)]
    for call, case in names_of(key):
        old, new = (side.get(call, {}).get(case, ABSENT) for side in sides)
        if ABSENT in (old, new) or error_of(old) or error_of(new):
            _leave_out(left_out, FAILS, key, call, case)
        elif old != new:
            _leave_out(left_out, DIFFERS, key, call, case)
        else:
            yield [call, case]


def _leave_out(left_out: LeftOut, reason: str, *names: str) -> None:
    left_out.setdefault(reason, []).append(" ".join(names))


def _take_turns(
    versions: tuple[Seen, Seen], calls: Calls, scratch: Path, seed: int
) -> list[dict[str, list[Row]]]:
    """What a new process of each version has timed, by model; AssetError if one fails."""
    sides = [_started(seen, calls, scratch / str(at), seed) for at, seen in enumerate(versions)]
    codes = run_in_turns(sides, SECONDS)
    reasons = [
        f"{seen.label}: {(side.said.strip().splitlines() or ['no output'])[-1][:300]} (exit {code})"
        for seen, side, code in zip(versions, sides, codes, strict=True)
        if code
    ]
    if reasons:
        raise AssetError(first_cause(reasons))
    return [json.loads((side.log.parent / OUT).read_text(encoding="utf-8")) for side in sides]


def _started(seen: Seen, calls: Calls, scratch: Path, seed: int) -> Started:
    """A process that sees torch, as that of most users does: it changes what calls do."""
    scratch.mkdir()
    folders = {key: str(seen.subject.folders[key]) for key in calls}
    task = {"folders": folders, "calls": calls, "out": str(scratch / OUT)}
    (scratch / TASK).write_text(json.dumps(task), encoding="utf-8")
    module = "tests.tools.drift.times.timed"
    command, variables = command_in(seen.installed, module, str(scratch / TASK), lent=True)
    variables["PYTHONHASHSEED"] = str(seed)
    return Started(command, PROJECT, variables, scratch / LOG)

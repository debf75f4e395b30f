"""Times calls in turns with another environment: runs inside each of the two and judges nothing.

`python -m tests.tools.drift.times.timed TASK RECEIVE,SEND`: TASK is a JSON file of `folders` and
`calls` by model key, and of `out`, the file that is written.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.harness.files import write_atomically
from tests.harness.latency.turns.granted import Turned
from tests.harness.tokenizer.loaded import load_auto

from ..observers.calls import Work, calls_of
from ..record import short, typed

WARMUP = 3


def _repeatable(ready: Callable[[], Work]) -> Work | None:
    """The call, unless it fails when it is repeated."""
    try:
        work = ready()
        for _ in range(WARMUP):
            work()
    except Exception:
        return None
    return work


def timed_rows(auto: Any, key: str, wanted: list[list[str]], pipes: tuple[int, int]) -> list[Any]:
    """Of each wanted call its name and case, the seconds of its turns, and its last result.

    One that cannot be repeated has no result, and takes its turns all the same: the other side may
    repeat it.
    """
    rows = []
    for call, case, ready in calls_of(auto, key):
        if [call, case] in wanted:
            work = _repeatable(ready)
            result, seconds = Turned(work or int, None, *pipes).measure(WARMUP)
            rows.append([call, case, seconds, work and short(typed(result))])
    return rows


def main() -> None:
    """Load the models' tokenizers and time what is wanted of each."""
    path, pipes = sys.argv[1:]
    receive, send = map(int, pipes.split(","))
    task = json.loads(Path(path).read_text(encoding="utf-8"))
    timed = {}
    for key, folder in task["folders"].items():
        auto = load_auto(Path(folder))
        timed[key] = timed_rows(auto, key, task["calls"][key], (receive, send))
    write_atomically(Path(task["out"]), json.dumps(timed))


if __name__ == "__main__":
    main()

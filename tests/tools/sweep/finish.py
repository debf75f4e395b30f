"""The end of a sweep: one file with every row once, figures, picture, and the check."""

import json
from collections.abc import Callable
from typing import Any

from tests.harness.atomic import write_atomically
from tests.harness.price_rows import Row, read_rows
from tests.harness.secrets import scrub

from . import summary as summaries
from .check import Compared, compare, verdict
from .job import Job, identity
from .picture import draw
from .run import write_predictions
from .store import Store, write_lines

SUMMARY = "summary.json"


def conclude(
    job: Job, store: Store, lines: list[dict[str, Any]], model: Any, say: Callable[[str], None]
) -> int:
    """Write predictions, bad rows, picture and summary, check; 1 if the check fails."""
    rows = [line for line in lines if "reason" not in line]
    bad = [line for line in lines if "reason" in line]
    write_predictions(job.predictions, rows)
    write_lines(job.out / "bad_rows.jsonl", bad)
    checked = check(job, rows, model) if job.check else []
    seconds = summaries.seconds_of(store.seconds())
    summary = {
        **summaries.figures(rows, bad),
        "seconds": seconds,
        "rows_per_second": len(rows) / seconds if seconds else None,
        "check": {
            "rows": len(checked),
            "equal": sum(it.equal for it in checked),
            "ties": sum(it.tie for it in checked),
            "price_goes_on": goes_on(checked, rows),
        },
        **identity(job),
    }
    picture(job, rows, say)
    write_atomically(
        job.out / SUMMARY, lambda path: path.write_text(scrub(json.dumps(summary, indent=2)) + "\n")
    )
    for line in [*summaries.lines(summary), *(found := verdict(job.title, checked, job.tokenizer))]:
        say(line)
    return 1 if found else 0


def check(job: Job, rows: list[dict[str, Any]], model: Any) -> list[Compared]:
    """Ask some rows, evenly spread, one by one."""
    step = max(len(rows) // job.check, 1)
    chosen = {row["number"]: row["tokens"] for row in rows[::step][: job.check]}
    asked = (row for row in read_rows(job.data) if isinstance(row, Row) and row.number in chosen)
    return [
        compare(job.facts, model, job.tokenizer, row.text, row.number, chosen[row.number])
        for row in asked
    ]


def goes_on(checked: list[Compared], rows: list[dict[str, Any]]) -> int:
    """How many checked rows the task's four tokens give another price than the sweep.

    That is so where next-token scoring cannot do: `1,800` is three tokens.
    """
    own = {row["number"]: row["prediction"] for row in rows}
    return sum(it.equal and it.price != own[it.number] for it in checked)


def picture(job: Job, rows: list[dict[str, Any]], say: Callable[[str], None]) -> None:
    """Draw it, or say in one line what is missing for it."""
    if job.picture == "none":
        return
    pairs, path = summaries.pairs_of(rows), job.picture_path
    try:
        write_atomically(path, lambda scratch: draw(pairs, job.title, scratch, job.picture))
    except ImportError:
        say(f"no {path.name}: matplotlib is missing; pip install matplotlib, and run it again")

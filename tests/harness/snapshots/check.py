"""Compares rows with the snapshot of a case, exactly."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..checks.tokenizer import diagnose
from ..diff import compared, first_difference, line_at, side_by_side
from ..errors import fail, fail_unjudged
from ..tokenizer.loaded import LoadedTokenizer
from .extension import SNAPSHOTS, RowsExtension
from .file import model_key

if TYPE_CHECKING:
    from syrupy.assertion import SnapshotAssertion


def update_command(path: Path) -> str:
    """What records a snapshot file again: all the model's tests of its folder must hold."""
    key = model_key(path)
    return f"pytest tests/{path.parents[1].name} --models {key} --snapshot-update"


def recorded_rows(suite: Path, tokenizer: LoadedTokenizer, kind: str, case: str) -> list[str]:
    """The rows that are recorded of a case in a folder of tests; none if there are none."""
    path = suite / SNAPSHOTS / f"{tokenizer.key}.{kind}.txt"
    rows = RowsExtension.store.file(path).blocks.get(case)
    return rows.split("\n") if rows else []


def check_snapshot(
    snapshot: "SnapshotAssertion",
    tokenizer: LoadedTokenizer,
    kind: str,
    case: str,
    rows: Sequence[str],
) -> None:
    """Fail unless the rows are the recorded ones, exactly."""
    if snapshot(name=f"{tokenizer.key}.{kind}/{case}") == rows:
        return
    result = snapshot.executions[snapshot.num_executions - 1]
    path, subject = Path(result.snapshot_location), f"{tokenizer.key} {case}"
    if result.exception:
        fail_unjudged(subject, f"snapshot cannot be read: {result.exception}")
    update = f"if intended: {update_command(path)}"
    if result.recalled_data is None:
        fail_unjudged(subject, f"no {kind} snapshot is recorded", next_step=update)
    old = str(result.recalled_data).split("\n")
    recorded = RowsExtension.store.file(path).recorded
    position = first_difference(list(rows), old)
    assert position is not None
    cause, pinned = diagnose(tokenizer, recorded)
    fail(
        subject,
        f"{kind} snapshot: row {position} got {line_at(rows, position)}, recorded "
        f"{line_at(old, position)}",
        *side_by_side(rows, old, position),
        f"recorded with {', '.join(f'{name} {number}' for name, number in recorded.items())}",
        pinned,
        cause=cause,
        next_step=update,
        evidence=compared("tokens" if kind == "ids" else "lines", rows, old, position),
    )

"""Compares rows with the snapshot of a case, exactly."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..checks.tokenizer import diagnose
from ..data.registry import Model
from ..diff import compared, first_difference, line_at, side_by_side
from ..errors import fail, fail_unjudged
from ..tokenizer.loaded import LoadedTokenizer
from .extension import SNAPSHOTS, RowsExtension
from .file import NO_ROWS, model_key

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


def inherited_rows(suite: Path, model: Model, kind: str, case: str) -> tuple[str, list[str]]:
    """The base whose recorded rows are the model's, and the rows; empty if it has its own."""
    bases = model.chat_bases if kind == "prompts" else model.bases
    own = suite / SNAPSHOTS / f"{model.key}.{kind}.txt"
    if not bases or case in RowsExtension.store.file(own).blocks:
        return "", []
    for base in bases:
        path = suite / SNAPSHOTS / f"{base}.{kind}.txt"
        if (rows := RowsExtension.store.file(path).blocks.get(case)) is not None:
            return base, [] if rows == NO_ROWS else rows.split("\n")
    return "", []


def check_snapshot(
    snapshot: "SnapshotAssertion",
    tokenizer: LoadedTokenizer,
    kind: str,
    case: str,
    rows: Sequence[str],
) -> None:
    """Fail unless the rows are the recorded ones, exactly.

    A fine-tune's are its base's, unless others are recorded for it.
    """
    name = f"{tokenizer.key}.{kind}/{case}"
    suite = Path(snapshot.test_location.filepath).parent
    base, inherited = inherited_rows(suite, tokenizer.spec, kind, case)
    if base and inherited == list(rows):
        return
    if snapshot(name=name) == rows:
        return
    result = snapshot.executions[snapshot.num_executions - 1]
    path, subject = Path(result.snapshot_location), f"{tokenizer.key} {case}"
    if result.exception:
        fail_unjudged(subject, f"snapshot cannot be read: {result.exception}")
    update = f"if intended: {update_command(path)}"
    if result.recalled_data is None and not base:
        fail_unjudged(subject, f"no {kind} snapshot is recorded", next_step=update)
    old = inherited if base else str(result.recalled_data).split("\n")
    path = path.with_name(f"{base}.{kind}.txt") if base else path
    recorded = RowsExtension.store.file(path).recorded
    position = first_difference(list(rows), old)
    assert position is not None
    cause, pinned = diagnose(tokenizer, recorded)
    fail(
        subject,
        f"{kind} snapshot{f' of {base}' if base else ''}: row {position} got "
        f"{line_at(rows, position)}, recorded {line_at(old, position)}",
        *side_by_side(rows, old, position),
        f"recorded with {', '.join(f'{name} {number}' for name, number in recorded.items())}",
        pinned,
        cause=cause,
        next_step=update,
        evidence=compared("tokens" if kind == "ids" else "lines", rows, old, position),
    )

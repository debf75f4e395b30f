"""Snapshots: strict rows in one file a model and kind, through syrupy; nothing is written here.

syrupy hands its writes to `pending`; `snapshot_session` decides at the end what may be saved.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from syrupy.data import SnapshotCollection, SnapshotCollections
from syrupy.extensions.base import AbstractSyrupyExtension

from .diagnosis import fail, fail_unjudged, likely_cause, unchanged
from .evidence import compared
from .loading import Loaded
from .models import DataError
from .repeating import with_sources
from .tokens import at, parting, side_by_side

if TYPE_CHECKING:
    from syrupy.assertion import SnapshotAssertion
    from syrupy.location import PyTestLocation

EMPTY = "(no rows)"
Blocks = dict[str, str]  # case name -> rows, joined by line feeds


@dataclass(frozen=True)
class SnapshotFile:
    """A snapshot file's content: the versions it was recorded with, and its blocks."""

    recorded: dict[str, str]
    blocks: Blocks


files: dict[Path, SnapshotFile] = {}  # each file is read once a session
pending: dict[Path, Blocks] = {}  # what --snapshot-update would write


def read_snapshot_file(path: Path) -> SnapshotFile:
    """Parse a snapshot file; DataError where it is not as we write it."""
    if not path.exists():
        return SnapshotFile({}, {})
    # What is no UTF-8 becomes U+FFFD, which rows have only escaped.
    text = path.read_bytes().decode("utf-8", "replace")
    title, _, rest = text.partition("\n\n")
    if {"\r", "\ufffd"} & set(text) or not title.startswith("# ") or not text.endswith("\n"):
        raise DataError(
            f"{path.name}: not as written: restore it with git (line ends or encoding changed?)"
        )
    words = title.partition("recorded with ")[2].partition("\n")[0]
    recorded = dict(entry.split(" ", 1) for entry in words.split(", ") if " " in entry)
    blocks: Blocks = {}
    for block in rest.removesuffix("\n").split("\n\n"):
        name, _, rows = block.partition("\n")
        if not (name.startswith("[") and name.endswith("]")) or name[1:-1] in blocks:
            raise DataError(f"{path.name}: {name!r} is no [case] or stands twice: restore the file")
        blocks[name[1:-1]] = rows
    return SnapshotFile(recorded, blocks)


def format_snapshot_file(path: Path, content: SnapshotFile) -> str:
    """The file's text: title with versions, then the blocks by case name."""
    versions = ", ".join(f"{name} {number}" for name, number in content.recorded.items())
    title = (
        f"# {path.stem.replace('.', ' ')}, recorded with {versions}\n"
        "# Written by pytest --snapshot-update: review the diff, do not edit."
    )
    blocks = [f"[{name}]\n{rows}" for name, rows in sorted(content.blocks.items())]
    return "\n\n".join([title, *blocks]) + "\n"


def cached(path: Path) -> SnapshotFile:
    """The file's content, read once a session."""
    if path not in files:
        files[path] = read_snapshot_file(path)
    return files[path]


class RowsExtension(AbstractSyrupyExtension):
    """syrupy storage: index `MODEL.KIND/CASE` lives in `MODEL.KIND.txt` under `[CASE]`."""

    file_extension = "txt"

    def serialize(self, data: Any, **options: Any) -> str:
        """Rows as they are; they come escaped."""
        return "\n".join(data) or EMPTY

    @classmethod
    def get_file_basename(cls, *, test_location: "PyTestLocation", index: Any) -> str:
        return str(index).partition("/")[0]

    @classmethod
    def get_snapshot_name(cls, *, test_location: "PyTestLocation", index: Any = 0) -> str:
        return f"{test_location.methodname}[{str(index).partition('/')[2]}]"

    @classmethod
    def matches_test_location(cls, **location: Any) -> bool:
        return True

    def read_snapshot_data_from_location(
        self, *, snapshot_location: str, snapshot_name: str, session_id: str
    ) -> str | None:
        return cached(Path(snapshot_location)).blocks.get(case_of(snapshot_name))

    @classmethod
    def write_snapshot_collection(
        cls, *, snapshot_collection: SnapshotCollection, name_order: Any = None
    ) -> None:
        blocks = pending.setdefault(Path(snapshot_collection.location), {})
        blocks.update({case_of(it.name): str(it.data) for it in snapshot_collection})

    def discover_snapshots(self, **site: Any) -> SnapshotCollections:
        return SnapshotCollections()  # looking for unused ones is snapshot_session's

    def read_snapshot_collection(self, *, snapshot_location: str) -> SnapshotCollection:
        raise AssertionError("nothing is discovered, so nothing is read for clean-up")

    def delete_snapshots(self, *, snapshot_location: str, snapshot_names: set[str]) -> None:
        raise AssertionError("snapshots are removed by --snapshot-prune alone")


def case_of(snapshot_name: str) -> str:
    """`test_name[case]` -> `case`."""
    return snapshot_name.partition("[")[2][:-1]


def update_command(path: Path) -> str:
    """What records a snapshot file anew: all the model's tests of its folder must hold."""
    key = path.name.partition(".")[0]
    command = f"pytest tests/{path.parents[1].name} --models {key} --snapshot-update"
    return with_sources(command, key)


def check_snapshot(
    snapshot: "SnapshotAssertion", loaded: Loaded, kind: str, case: str, rows: Sequence[str]
) -> None:
    """Fail unless the rows are the recorded ones, exactly."""
    if snapshot(name=f"{loaded.key}.{kind}/{case}") == rows:
        return
    result = snapshot.executions[snapshot.num_executions - 1]
    if result.exception:
        fail_unjudged(f"{loaded.key} {case}: snapshot cannot be read: {result.exception}")
    update = f"if intended: {update_command(Path(result.snapshot_location))}"
    if result.recalled_data is None:
        fail_unjudged(f"{loaded.key} {case}: no {kind} snapshot is recorded", update)
    old = str(result.recalled_data).split("\n")
    recorded = cached(Path(result.snapshot_location)).recorded
    position = parting(list(rows), old)
    assert position is not None
    fail(
        f"{loaded.key} {case}: {kind} snapshot: row {position} got {at(rows, position)}, "
        f"recorded {at(old, position)}; likely cause: {likely_cause(loaded, recorded)}",
        *side_by_side(rows, old, position),
        f"recorded with {', '.join(f'{name} {number}' for name, number in recorded.items())}",
        unchanged(loaded),
        next_step=update,
        evidence=compared("tokens" if kind == "ids" else "lines", rows, old, position),
    )

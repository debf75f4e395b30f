"""How syrupy reads our snapshot files. It writes nothing: `session` decides what is saved.

syrupy gives the fixture and the option; naming, reading and writing are ours, because its own
clean-up loses snapshots of runs that were not complete.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from syrupy.data import SnapshotCollection, SnapshotCollections
from syrupy.extensions.base import AbstractSyrupyExtension

from .file import NO_ROWS, Blocks, SnapshotFile, read_snapshot_file

if TYPE_CHECKING:
    from syrupy.location import PyTestLocation


SNAPSHOTS = "__snapshots__"  # in each folder of tests that compares with snapshots


@dataclass(frozen=True)
class SnapshotStore:
    """A session's snapshot files, each read once, and the blocks that an update would write."""

    files: dict[Path, SnapshotFile] = field(default_factory=dict)
    pending: dict[Path, Blocks] = field(default_factory=dict)

    def file(self, path: Path) -> SnapshotFile:
        """The content of a snapshot file; DataError if it is not as we write it."""
        if path not in self.files:
            self.files[path] = read_snapshot_file(path)
        return self.files[path]


class RowsExtension(AbstractSyrupyExtension):
    """syrupy's storage; `MODEL.KIND/CASE` lies in `MODEL.KIND.txt`, under `[CASE]`."""

    file_extension = "txt"
    # Of this session; syrupy calls class methods, so no instance could hold it.
    store: ClassVar[SnapshotStore] = SnapshotStore()

    def serialize(self, data: Any, **options: Any) -> str:
        return "\n".join(data) or NO_ROWS  # they come escaped

    @classmethod
    def get_file_basename(cls, *, test_location: "PyTestLocation", index: Any) -> str:
        return str(index).partition("/")[0]

    @classmethod
    def get_snapshot_name(cls, *, test_location: "PyTestLocation", index: Any = 0) -> str:
        return str(index).partition("/")[2]

    @classmethod
    def matches_test_location(cls, **location: Any) -> bool:
        return True

    def read_snapshot_data_from_location(
        self, *, snapshot_location: str, snapshot_name: str, session_id: str
    ) -> str | None:
        return self.store.file(Path(snapshot_location)).blocks.get(snapshot_name)

    @classmethod
    def write_snapshot_collection(
        cls, *, snapshot_collection: SnapshotCollection, name_order: Any = None
    ) -> None:
        blocks = cls.store.pending.setdefault(Path(snapshot_collection.location), {})
        blocks.update({snapshot.name: str(snapshot.data) for snapshot in snapshot_collection})

    def discover_snapshots(self, **site: Any) -> SnapshotCollections:
        return SnapshotCollections()  # `session` looks for unused ones

    def read_snapshot_collection(self, *, snapshot_location: str) -> SnapshotCollection:
        raise NotImplementedError("nothing is discovered, so nothing is read for clean-up")

    def delete_snapshots(self, *, snapshot_location: str, snapshot_names: set[str]) -> None:
        raise NotImplementedError("--snapshot-prune alone removes snapshots")

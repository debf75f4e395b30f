"""A snapshot file: its versions and its blocks, one for each case."""

from dataclasses import dataclass
from pathlib import Path

from ..errors import DataError

NO_ROWS = "(no rows)"
Blocks = dict[str, str]  # case name -> rows, joined by line feeds


@dataclass(frozen=True)
class SnapshotFile:
    """A snapshot file's content: the versions it was recorded with, and its blocks."""

    recorded: dict[str, str]
    blocks: Blocks


def model_key(path: Path) -> str:
    """The key of the model that a snapshot file is of."""
    return path.name.partition(".")[0]


def read_snapshot_file(path: Path) -> SnapshotFile:
    """Parse a snapshot file; DataError where it is not as we write it."""
    if not path.exists():
        return SnapshotFile({}, {})
    # Bytes that are not UTF-8 become U+FFFD, which rows have only escaped.
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
            raise DataError(
                f"{path.name}: {name!r} is not a [case] header, or appears twice: "
                "restore the file with git"
            )
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

"""The files of a folder, by what the file system says of them: nothing is opened."""

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from ..errors import AssetError
from ..text import readable

JSON_FILES = (
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "config.json",
    "generation_config.json",
    "chat_template.json",
    "tokenizer.json",
)
TEMPLATES = "additional_chat_templates"  # the one folder within that transformers reads
_READ = (".json", ".jinja", ".txt", ".model", ".tiktoken")
_WEIGHTS = (".safetensors", ".index.json")
_VOCABULARY = 100 * 2**20  # bytes of a file with a vocabulary
_SMALL = 10 * 2**20
_VOCABULARIES = ("tokenizer.json", "vocab.json", "merges.txt", "vocab.txt")
_KINDS = {
    stat.S_ISFIFO: "a pipe",
    stat.S_ISCHR: "a device",
    stat.S_ISBLK: "a device",
    stat.S_ISSOCK: "a socket",
}


@dataclass(eq=False)
class UnfitError(Exception):
    """What is wrong with a file of a folder: the file, the key if there is one, and what."""

    file: str
    what: str
    key: str = ""

    def line(self, folder: Path) -> str:
        """The same in one line, with the folder."""
        key = f": {self.key}" if self.key else ""
        return readable(f"{self.file} in {folder}{key} {self.what}")


def read_files(folder: Path) -> list[Path]:
    """The files that a library may read for a tokenizer, in the order of their names.

    Raises UnfitError for an entry of the folder that is no regular file within it, or too large.
    AssetError if the folder cannot be read.
    """
    try:
        str(folder).encode()
    except UnicodeEncodeError:
        fix = "rename the folder, or run under LC_ALL=C.UTF-8"
        where = readable(str(folder))
        raise AssetError(
            f"{where}: the libraries cannot open a path that is no UTF-8: {fix}"
        ) from None
    try:
        root = folder.resolve(strict=True)
        entries = sorted(root.iterdir())
        if (root / TEMPLATES).is_dir():
            _check_place(root / TEMPLATES, root)
            entries += sorted((root / TEMPLATES).iterdir())
        return [path for path in entries if _check_entry(path, root)]
    except (OSError, RuntimeError) as error:  # RuntimeError: links in a circle, before 3.13
        raise AssetError(readable(f"{folder} cannot be read ({error}): check the folder")) from None


def _check_entry(path: Path, root: Path) -> bool:
    """Whether a library may read the entry for a tokenizer; UnfitError if none must."""
    name = str(path.relative_to(root))
    try:
        found = path.stat()
    except OSError as error:
        what = "a link that leads nowhere" if path.is_symlink() else "a file that cannot be read"
        raise UnfitError(name, f"is {what} ({os.strerror(error.errno or 0)})") from None
    _check_place(path, root)
    if stat.S_ISDIR(found.st_mode):
        if path.name.endswith(_READ):
            raise UnfitError(name, "is a folder, and must be a file")
        return False
    for is_kind, words in _KINDS.items():
        if is_kind(found.st_mode):
            raise UnfitError(name, f"is {words}, and must be a regular file")
    if not path.name.endswith(_READ) or path.name.endswith(_WEIGHTS):
        return False
    large = path.name in _VOCABULARIES or path.suffix in (".model", ".tiktoken")
    most = _VOCABULARY if large else _SMALL
    if found.st_size > most and (path.name in JSON_FILES or path.suffix != ".json"):
        raise UnfitError(name, f"has {found.st_size:,} bytes, and at most {most:,} are allowed")
    if not os.access(path, os.R_OK):
        raise UnfitError(name, "may not be read (permission denied)")
    return True


def _check_place(path: Path, root: Path) -> None:
    """UnfitError if the entry is a link out of the folder; the hub's cache keeps its files so."""
    if not path.is_symlink() and not path.parent.is_symlink():
        return
    cached = root.parents[1] / "blobs" if root.parent.name == "snapshots" else root
    target = path.resolve()
    if not (target.is_relative_to(root) or target.is_relative_to(cached)):
        name = str(path.relative_to(root))
        raise UnfitError(name, "is a link out of the folder: its text would be shown")

"""llama.cpp's vocabularies and test vectors, out of the sdist that the bundle is built from."""

import re
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path

from filelock import FileLock
from tokenizers import Tokenizer

from tests.harness.data.recipes import read_recipe
from tests.harness.data.registry import registry
from tests.harness.diff import first_difference, line_at, side_by_side
from tests.harness.files import cache_folder, sha256_text
from tests.harness.sources.packages import REQUIREMENTS, download
from tests.harness.text import quote

PACKAGE = "llama_cpp_python"
MODELS = "vendor/llama.cpp/models"
# The vocabulary's file by the models that are built from it.
FILES = {
    key: Path(origin.path).name
    for key in registry()
    if (origin := read_recipe(key).vocabulary) and origin.package == PACKAGE
}
END = (".inp", ".out")
SPM = "ggml-vocab-llama-spm.gguf"  # Llama-2's SentencePiece model, for the differential test


def llama_cpp_folder() -> Path:
    """A folder of the cache with vocabularies and vector files, filled once a pin."""
    home = cache_folder() / "llama.cpp"
    home.mkdir(parents=True, exist_ok=True)
    pins = re.findall("^llama-cpp-python==.*", REQUIREMENTS.read_text("utf-8"), re.MULTILINE)
    names = {SPM, *FILES.values(), *(f"{name}{end}" for name in FILES.values() for end in END)}
    folder = home / sha256_text("\n".join([*pins, *sorted(names)]))[:12]
    with FileLock(home / ".lock"):
        if not folder.is_dir():
            with tempfile.TemporaryDirectory(dir=home) as scratch:
                archive = download({PACKAGE}, Path(scratch), print)[PACKAGE]
                _unpack(archive, names, Path(scratch) / "out").rename(folder)
    return folder


def _unpack(archive: Path, names: set[str], target: Path) -> Path:
    """Copy files of the models' folder out of the sdist in one pass; it is large."""
    target.mkdir()
    missing = {f"{archive.name.removesuffix('.tar.gz')}/{MODELS}/{name}" for name in names}
    with tarfile.open(archive, "r|gz") as sdist:
        for member in sdist:
            if member.name in missing and (source := sdist.extractfile(member)):
                (target / Path(member.name).name).write_bytes(source.read())
                missing.remove(member.name)
            if not missing:
                return target
    raise AssertionError(f"not in {archive.name}: {', '.join(sorted(missing))}")


def open_file(folder: Path) -> Tokenizer:
    """The tokenizer of `tokenizer.json`, without transformers."""
    return Tokenizer.from_file(str(folder / "tokenizer.json"))


def mismatch(
    title: str, tokenizer: Tokenizer, ids: Sequence[int], expected: Sequence[int], other: str
) -> str:
    """Where ids differ from the expected ones of `other`, side by side; empty if they do not."""
    position = first_difference(ids, expected)
    if position is None:
        return ""
    left, right = _pieces(tokenizer, ids), _pieces(tokenizer, expected)
    sides = f"got {line_at(left, position)}, {other} {line_at(right, position)}"
    headline = f"{title}: position {position} {sides}"
    return "\n".join([headline, *side_by_side(left, right, position)])


def _pieces(tokenizer: Tokenizer, ids: Sequence[int]) -> list[str]:
    return [f"{i} {quote(tokenizer.id_to_token(i) or '(no such id)')}" for i in ids]

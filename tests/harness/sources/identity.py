"""What a result was made of, as short digests: whoever reuses one compares all of them."""

from collections.abc import Iterable
from pathlib import Path

from ..examination.entries import TEMPLATES
from ..files import PROJECT, sha256, sha256_text
from .checkpoints import weight_files
from .shards import digests
from .weights import Weights

_DIGITS = 12
_SETTINGS = ("config.json", "generation_config.json")


def digest_of(sources: Iterable[str]) -> str:
    """One digest over the project's files of these names and in these folders, by content."""
    roots = [PROJECT / name for name in sources]
    paths = [path for root in roots for path in (root.rglob("*") if root.is_dir() else [root])]
    files = sorted(path for path in paths if path.is_file() and "__pycache__" not in path.parts)
    return sha256_text("\n".join(f"{path.relative_to(PROJECT)} {sha256(path)}" for path in files))


def files_of(folder: Path) -> dict[str, str]:
    """sha256 of every file that a tokenizer's folder holds, further templates included."""
    paths = sorted(path for path in folder.iterdir() if path.is_file())
    if (folder / TEMPLATES).is_dir():
        paths += sorted((folder / TEMPLATES).iterdir())
    return {str(path.relative_to(folder)): sha256(path) for path in paths}


def tokenizer_identity(folder: Path) -> dict[str, str]:
    """`tokenizer NAME` to the digest, of every file of the folder."""
    return {f"tokenizer {name}": digest[:_DIGITS] for name, digest in files_of(folder).items()}


def weights_identity(weights: Weights) -> dict[str, str]:
    """`weights NAME` to the digest, of every file that a model is made of; hashed once."""
    files = weight_files(weights.folder)
    files += [path for name in _SETTINGS if (path := weights.folder / name).is_file()]
    found = digests(files)
    return {f"weights {path.name}": found[path][:_DIGITS] for path in files}


def code_identity(*sources: str) -> dict[str, str]:
    """`code` to the digest of these files and folders of the project."""
    return {"code": digest_of(sources)[:_DIGITS]}


def in_one(identity: dict[str, str]) -> str:
    """One short digest of an identity."""
    return sha256_text("\n".join(f"{k} {v}" for k, v in sorted(identity.items())))[:_DIGITS]

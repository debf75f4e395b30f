"""A `tokenizer.json` file, and the pipeline of a tokenizer, loaded or as the file defines it."""

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ..files import sha256_text

PARTS = ("normalizer", "pre_tokenizer", "post_processor", "decoder")
FLAGS = (
    "dropout",
    "unk_token",
    "continuing_subword_prefix",
    "end_of_word_suffix",
    "fuse_unk",
    "byte_fallback",
    "ignore_merges",
)


@dataclass(frozen=True)
class TokenizerJson:
    """A `tokenizer.json`: as `tokenizers` loads it, and as JSON; each read at its first use."""

    path: Path

    @cached_property
    def tokenizer(self) -> Any:
        """The file's own `tokenizers.Tokenizer`, without transformers."""
        from tokenizers import Tokenizer

        return Tokenizer.from_file(str(self.path))

    @cached_property
    def content(self) -> dict[str, Any]:
        """The file's JSON."""
        content: dict[str, Any] = json.loads(self.path.read_bytes())
        return content

    @cached_property
    def vocabulary(self) -> dict[str, int]:
        """Id of every token, added ones included."""
        vocabulary: dict[str, int] = self.tokenizer.get_vocab(with_added_tokens=True)
        return vocabulary

    @cached_property
    def vocabulary_sha256(self) -> str:
        """Digest of "id<TAB>token<LF>" over all ids."""
        ids = self.vocabulary
        tokens = sorted(ids, key=ids.__getitem__)  # no pair each: a collector would visit them
        return sha256_text("".join([f"{ids[token]}\t{token}\n" for token in tokens]))

    @cached_property
    def merges(self) -> list[str]:
        """The merges in rank order as "left right"; newer files write pairs. Only BPE has any."""
        rows = self.content["model"].get("merges", [])
        return [row if isinstance(row, str) else " ".join(row) for row in rows]


def keeps_white_space(content: dict[str, Any]) -> bool:
    """Whether ids of any text can lead back to it: there are tokens for all its bytes."""
    model, parts = content["model"], json.dumps([content[part] for part in PARTS])
    split = any(f'"{part}"' in parts for part in ("WhitespaceSplit", "BertPreTokenizer"))
    split = split or '"always"' in parts or '"first"' in parts  # Metaspace adds one
    return not split and (model.get("byte_fallback") is True or '"ByteLevel"' in parts)


_BY_DIGEST: dict[str, TokenizerJson] = {}


def tokenizer_json(path: Path) -> TokenizerJson:
    """The file of a path, one object for equal files: both Llamas' differ in the last line end."""
    digest = hashlib.sha256(path.read_bytes().rstrip()).hexdigest()
    return _BY_DIGEST.setdefault(digest, TokenizerJson(path))


def pipeline(tokenizer: Any) -> dict[str, Any]:
    """Normalizer, pre-tokenizer, post-processor, decoder and model flags of a loaded tokenizer."""
    state = {}
    for part in PARTS:
        value = getattr(tokenizer, part)
        # Not `if value`: to old versions of tokenizers a Sequence has no length, and is false.
        state[part] = None if value is None else json.loads(value.__getstate__())
    if type(tokenizer.model).__name__ == "BPE":
        return state | {"model": _flags({f: getattr(tokenizer.model, f) for f in FLAGS})}
    return state | {"model": _without_vocabulary(json.loads(tokenizer.model.__getstate__()))}


def file_pipeline(content: dict[str, Any]) -> dict[str, Any]:
    """The same of a `tokenizer.json`'s content; a flag that is not written is False or None."""
    model = content["model"]
    parts = {part: content[part] for part in PARTS}
    if model.get("type", "BPE") != "BPE":
        return parts | {"model": _without_vocabulary(model)}
    flags = {flag: model.get(flag, False if flag == "ignore_merges" else None) for flag in FLAGS}
    return parts | {"model": _flags(flags)}


def _flags(flags: dict[str, Any]) -> dict[str, Any]:
    """The flags, with an empty prefix or suffix as none: to BPE they mean the same."""
    return {name: None if value == "" else value for name, value in flags.items()}


def _without_vocabulary(model: dict[str, Any]) -> dict[str, Any]:
    """What Unigram and WordPiece have for flags."""
    return {name: value for name, value in model.items() if name != "vocab"}

"""Checks of ids, texts and settings of a tokenizer: what differs first, and the likely cause."""

from collections.abc import Sequence
from typing import Any

from ..diff import compared, compared_texts, first_difference, first_leaf, line_at, side_by_side
from ..errors import fail
from ..sources.bundle import folder_of, is_intact
from ..text import quote
from ..tokenizer.loaded import LoadedTokenizer
from ..tokenizer.pieces import token_rows
from ..tokenizer.tokenizer_json import file_pipeline, pipeline
from ..versions import versions


def likely_cause(
    tokenizer: LoadedTokenizer, recorded: dict[str, str] | None = None, declared: str = ""
) -> str:
    """One clause: files before transformers before tokenizers, the nearest to the data first.

    `recorded` are the versions of a snapshot; `declared` names the data file that the comparison
    is with, if it is with one.
    """
    now = versions()
    if changed := tokenizer.changed_files:
        return f"{', '.join(changed)} is not the pinned file"
    loaded = pipeline(tokenizer.transformers.backend_tokenizer)
    file = file_pipeline(tokenizer.json_file.content)
    if replaced := [part for part, value in file.items() if loaded[part] != value]:
        name = f"{now['transformers']} ({type(tokenizer.transformers).__name__})"
        return f"transformers {name} replaces the file's {', '.join(replaced)}"
    moved = [
        f"{package} {old} -> {now.get(package, 'absent')}"
        for package, old in (recorded or {}).items()
        if now.get(package) != old
    ]
    if moved:
        return ", ".join(moved)
    if declared:
        return f"the files are the pinned ones and {declared} says otherwise, or the library does"
    return "files, pipeline and versions are as recorded: the case or code changed"


def unchanged(tokenizer: LoadedTokenizer) -> str:
    """The files that are the pinned ones, and the versions that run."""
    changed = tokenizer.changed_files
    same = [name for name in tokenizer.spec.files if name not in changed]
    now = ", ".join(f"{name} {number}" for name, number in versions().items())
    return f"as pinned: {', '.join(same) or 'no file'}; running: {now}"


def check_ids(
    tokenizer: LoadedTokenizer, case: str, what: str, got: Sequence[int], expected: Sequence[int]
) -> None:
    """Fail unless two lists of ids are equal."""
    position = first_difference(list(got), list(expected))
    if position is None:
        return
    left, right = token_rows(tokenizer, got), token_rows(tokenizer, expected)
    fail(
        f"{tokenizer.key} {case}",
        f"{what}: position {position} got {line_at(left, position)}, expected "
        f"{line_at(right, position)}",
        *side_by_side(left, right, position),
        unchanged(tokenizer),
        cause=likely_cause(tokenizer),
        evidence=compared("tokens", left, right, position),
    )


def check_text(tokenizer: LoadedTokenizer, case: str, what: str, got: str, expected: str) -> None:
    """Fail unless two texts are equal, character by character."""
    position = first_difference(got, expected)
    if position is None:
        return
    start = max(0, position - 20)
    fail(
        f"{tokenizer.key} {case}",
        f"{what}: character {position} got {quote(got[position : position + 20])}, "
        f"expected {quote(expected[position : position + 20])}",
        f"  got      ...{quote(got[start : position + 40])}",
        f"  expected ...{quote(expected[start : position + 40])}",
        unchanged(tokenizer),
        cause=likely_cause(tokenizer),
        evidence=compared_texts(got, expected),
    )


def check_value(
    tokenizer: LoadedTokenizer,
    what: str,
    got: Any,
    expected: Any,
    cause: str = "",
    declared: str = "",
) -> None:
    """Fail unless a setting is the expected one, of the same type.

    `declared` names the data file that declares it, if one does.
    """
    if got != expected or type(got) is not type(expected):
        path, left, right = first_leaf(got, expected) if got != expected else ("", got, expected)
        fail(
            tokenizer.key,
            f"{what}{path}: got {left!r:.120}, expected {right!r:.120}",
            unchanged(tokenizer),
            cause=cause or likely_cause(tokenizer, declared=declared),
        )


def pinned_file(tokenizer: LoadedTokenizer, name: str) -> bytes | None:
    """The pinned bytes of a file, if this machine has the bundle; for naming what changed."""
    return (folder_of(tokenizer.spec) / name).read_bytes() if is_intact(tokenizer.spec) else None

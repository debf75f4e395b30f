"""Failure messages: what differs first, what stayed the same, hence the likely cause."""

import os
from collections.abc import Sequence
from typing import Any, NoReturn

import pytest

from .bundle import folder_of, is_intact
from .errors import Broken
from .evidence import Evidence, compared
from .loading import Loaded
from .options import versions
from .repeating import with_sources
from .tokenizer_file import file_pipeline, pipeline
from .tokens import at, parting, rows, side_by_side
from .visible import quote


def rerun() -> str:
    """The narrow command that runs this test again."""
    node = os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" ")[0]
    return with_sources(f"rerun: pytest {quote(node)}", node)


def fail(
    headline: str, *details: str, next_step: str = "", evidence: Evidence | None = None
) -> NoReturn:
    """Judge the running test broken; the first line can be used alone, the last is what to type."""
    raise Broken("\n".join([headline, *details, next_step or rerun()]), evidence)


def fail_unjudged(headline: str, next_step: str = "") -> NoReturn:
    """Fail the running test for want of evidence: no known failure excuses that."""
    pytest.fail("\n".join([headline, next_step or rerun()]), pytrace=False)


def replaced_parts(loaded: Loaded) -> list[str]:
    """Parts of the loaded pipeline that are not what the file says."""
    live, file = pipeline(loaded.auto.backend_tokenizer), file_pipeline(loaded.file.content)
    return [part for part, value in file.items() if live[part] != value]


def likely_cause(loaded: Loaded, recorded: dict[str, str] | None = None, declared: str = "") -> str:
    """One clause: files before transformers before tokenizers, the nearest to the data first.

    `declared` names the data file that the comparison is with, if it is with one.
    """
    now = versions()
    if changed := loaded.changed_files:
        return f"{', '.join(changed)} is not the pinned file"
    if replaced := replaced_parts(loaded):
        name = type(loaded.auto).__name__
        return (
            f"transformers {now['transformers']} ({name}) replaces the file's {', '.join(replaced)}"
        )
    moved = [
        f"{package} {old} -> {now.get(package, 'absent')}"
        for package, old in (recorded or {}).items()
        if now.get(package) != old
    ]
    if not moved and declared:
        return f"the files are the pinned ones and {declared} says otherwise, or the library does"
    return (
        ", ".join(moved) or "files, pipeline and versions are as recorded: the case or code changed"
    )


def unchanged(loaded: Loaded) -> str:
    """What stayed the same, as far as it can be seen."""
    changed = loaded.changed_files
    same = [name for name in loaded.model.files if name not in changed]
    now = ", ".join(f"{name} {number}" for name, number in versions().items())
    return f"as pinned: {', '.join(same) or 'no file'}; running: {now}"


def check_ids(
    loaded: Loaded, case: str, what: str, got: Sequence[int], expected: Sequence[int]
) -> None:
    """Fail unless two lists of ids are equal."""
    position = parting(list(got), list(expected))
    if position is None:
        return
    left, right = rows(loaded, got), rows(loaded, expected)
    fail(
        f"{loaded.key} {case}: {what}: position {position} got {at(left, position)}, "
        f"expected {at(right, position)}; likely cause: {likely_cause(loaded)}",
        *side_by_side(left, right, position),
        unchanged(loaded),
        evidence=compared("tokens", left, right, position),
    )


def compared_texts(got: str, expected: str) -> Evidence:
    """Two different texts, line by line."""
    left, right = ([quote(it) for it in text.splitlines(keepends=True)] for text in (got, expected))
    return compared("lines", left, right, parting(left, right) or 0)


def check_text(loaded: Loaded, case: str, what: str, got: str, expected: str) -> None:
    """Fail unless two texts are equal, character by character."""
    position = parting(got, expected)
    if position is None:
        return
    start = max(0, position - 20)
    fail(
        f"{loaded.key} {case}: {what}: character {position} got "
        f"{quote(got[position : position + 20])}, expected "
        f"{quote(expected[position : position + 20])}; likely cause: {likely_cause(loaded)}",
        f"  got      ...{quote(got[start : position + 40])}",
        f"  expected ...{quote(expected[start : position + 40])}",
        unchanged(loaded),
        evidence=compared_texts(got, expected),
    )


def first_leaf(got: Any, expected: Any, path: str = "") -> tuple[str, Any, Any]:
    """Where two JSON-like values part: path, and what stands there on both sides."""
    if isinstance(got, dict) and isinstance(expected, dict) and got.keys() == expected.keys():
        name = next(key for key in expected if got[key] != expected[key])
        return first_leaf(got[name], expected[name], f"{path}.{name}")
    if isinstance(got, list) and isinstance(expected, list) and len(got) == len(expected):
        index = next(
            i for i, pair in enumerate(zip(got, expected, strict=True)) if pair[0] != pair[1]
        )
        return first_leaf(got[index], expected[index], f"{path}[{index}]")
    return path, got, expected


def check_value(
    loaded: Loaded, what: str, got: Any, expected: Any, note: str = "", declared: str = ""
) -> None:
    """Fail unless a setting is the expected one, which the file `declared` may declare."""
    if got != expected or type(got) is not type(expected):
        path, left, right = first_leaf(got, expected) if got != expected else ("", got, expected)
        fail(
            f"{loaded.key}: {what}{path}: got {left!r:.120}, expected {right!r:.120}; "
            f"{note or 'likely cause: ' + likely_cause(loaded, declared=declared)}",
            unchanged(loaded),
        )


def pinned_file(loaded: Loaded, name: str) -> bytes | None:
    """The pinned bytes of a file, if this machine has the bundle; for naming what changed."""
    return (folder_of(loaded.model) / name).read_bytes() if is_intact(loaded.model) else None

"""Checks of ids, texts and settings of a tokenizer: what differs first, and why, most likely."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from ..diff import compared, compared_texts, first_difference, first_leaf, line_at, side_by_side
from ..errors import fail
from ..sources.bundle import folder_of, is_intact
from ..text import error_line, quote
from ..tokenizer.folder import EXTRA, extra_findings
from ..tokenizer.loaded import LoadedTokenizer
from ..tokenizer.pieces import token_rows
from ..tokenizer.tokenizer_json import file_pipeline, pipeline
from ..versions import version_changes, versions


def diagnose(
    tokenizer: LoadedTokenizer, recorded: dict[str, str] | None = None, declared: str = ""
) -> tuple[str, str]:
    """The likely cause, one clause, and a line that says what is as pinned.

    Files come before transformers before tokenizers, the nearest to the data first. `recorded` are
    the versions of a snapshot; `declared` names the data file that the comparison is with.
    """
    now, changed = versions(), tokenizer.changed_files
    same = [name for name in tokenizer.spec.files if name not in changed]
    running = ", ".join(f"{name} {number}" for name, number in now.items())
    pinned = f"as pinned: {', '.join(same) or 'no file'}; running: {running}"
    if changed:
        return f"{', '.join(changed)} is not the pinned file", pinned
    if undeclared := _undeclared(tokenizer):
        return undeclared, pinned
    if replaced := _replaced_parts(tokenizer):
        name = f"{now['transformers']} ({type(tokenizer.transformers).__name__})"
        return f"transformers {name} replaces the file's {', '.join(replaced)}", pinned
    cause = "files and pipeline are the pinned ones: a call of the library behaves differently"
    if recorded is not None:
        cause = "files, pipeline and versions are as recorded: the case or code changed"
    if declared:
        cause = f"the files are the pinned ones and {declared} says otherwise, or the library does"
    return version_changes(recorded or {}) or cause, pinned


def _undeclared(tokenizer: LoadedTokenizer) -> str:
    """What an undeclared file of the folder adds first; looked at once."""
    known = vars(tokenizer).get("undeclared")
    if known is None:
        folder, declared = tokenizer.folder, tokenizer.spec.files
        found = (line for name in EXTRA for line in extra_findings(folder, declared, name))
        known = vars(tokenizer)["undeclared"] = next(found, "")
    return str(known)


def _replaced_parts(tokenizer: LoadedTokenizer) -> list[str]:
    """Parts of the loaded pipeline that are not what the file says."""
    loaded = pipeline(tokenizer.transformers.backend_tokenizer)
    file = file_pipeline(tokenizer.json_file.content)
    return [part for part, value in file.items() if loaded[part] != value]


def check_ids(
    tokenizer: LoadedTokenizer,
    case: str,
    what: str,
    got: Sequence[int],
    expected: Sequence[int],
    cause: str = "",
) -> None:
    """Fail unless two lists of ids are equal; `cause` is the likely one if no file changed."""
    position = first_difference(list(got), list(expected))
    if position is None:
        return
    left, right = token_rows(tokenizer, got), token_rows(tokenizer, expected)
    likely, pinned = diagnose(tokenizer)
    fail(
        f"{tokenizer.key} {case}",
        f"{what}: position {position} got {line_at(left, position)}, expected "
        f"{line_at(right, position)}",
        *side_by_side(left, right, position),
        pinned,
        cause=(not tokenizer.changed_files and cause) or likely,
        evidence=compared("tokens", left, right, position),
    )


def check_text(tokenizer: LoadedTokenizer, case: str, what: str, got: str, expected: str) -> None:
    """Fail unless two texts are equal, character by character."""
    position = first_difference(got, expected)
    if position is None:
        return
    start = max(0, position - 20)
    cause, pinned = diagnose(tokenizer)
    fail(
        f"{tokenizer.key} {case}",
        f"{what}: character {position} got {quote(got[position : position + 20])}, "
        f"expected {quote(expected[position : position + 20])}",
        f"  got      ...{quote(got[start : position + 40])}",
        f"  expected ...{quote(expected[start : position + 40])}",
        pinned,
        cause=cause,
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
        likely, pinned = diagnose(tokenizer, declared=declared)
        fail(
            tokenizer.key,
            f"{what}{path}: got {left!r:.120}, expected {right!r:.120}",
            pinned,
            cause=cause or likely,
        )


def needed_torch() -> Any:
    """Skips the test where there is no torch, as in environments that compare versions."""
    return pytest.importorskip("torch", reason="needs torch: pip install -r requirements.txt")


@contextmanager
def must_work(tokenizer: LoadedTokenizer, case: str, what: str) -> Iterator[None]:
    """Turn what the library raises into a broken contract: a call that must work is refused."""
    try:
        yield
        return
    except Exception as error:
        raised = error_line(error)
    cause, pinned = diagnose(tokenizer)
    fail(f"{tokenizer.key} {case}", f"{what} raised {raised}", pinned, cause=cause)


def pinned_file(tokenizer: LoadedTokenizer, name: str) -> bytes | None:
    """The pinned bytes of a file, if this machine has the bundle; for naming what changed."""
    return (folder_of(tokenizer.spec) / name).read_bytes() if is_intact(tokenizer.spec) else None

"""Checks of what an engine answers: who differs from whom, where first, and why most likely."""

import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from ..data.cases import ChatCase
from ..diff import compared, compared_texts, first_difference, line_at, side_by_side
from ..errors import fail, fail_unjudged
from ..text import quote
from ..tokenizer.chat import text_rows
from ..tokenizer.pieces import token_rows
from .client import RequestError
from .metadata import (
    KEYS_THAT_DECIDE,
    PROMPT_KEYS,
    expected_metadata,
    metadata_difference,
    read_metadata,
)
from .served import Served

PINNED = "tokenizer.json"
# Nats. Rounding made 0.00027 at most over 87 price prompts; the smallest fault tried makes 0.0079.
LOG_BOUND = 0.001


@contextmanager
def asking(served: Served, case: str) -> Iterator[None]:
    """Turn a request that gets no answer into a broken contract."""
    try:
        yield
        return
    except RequestError as error:
        reason = str(error)
    fail(_subject(served, case), f"{served.label}: {reason}", cause=cause_of(served))


def _subject(served: Served, case: str) -> str:
    return f"{served.key} {case}".strip()


def check_served_ids(
    served: Served,
    case: str,
    what: str,
    got: Sequence[int],
    expected: Sequence[int],
    text: str | None = None,
) -> None:
    """Fail unless the engine's ids are the expected ones; `text` is what they are the ids of."""
    position = first_difference(list(got), list(expected))
    if position is None:
        return
    left, right = (token_rows(served.tokenizer, ids) for ids in (got, expected))
    fail(
        _subject(served, case),
        f"{served.label} {what}: position {position} is {line_at(left, position)}, "
        f"{PINNED} has {line_at(right, position)}",
        *side_by_side(left, right, position),
        cause=cause_of(served) or _cause_of_ids(served, got, expected, text),
        evidence=compared("tokens", left, right, position),
    )


def check_served_prompt(served: Served, chat: ChatCase, got: str, pinned: Sequence[str]) -> None:
    """Fail unless the engine's prompt has the pinned lines."""
    rows = text_rows(got)
    position = first_difference(rows, list(pinned))
    if position is None:
        return
    fail(
        _subject(served, chat.name),
        f"{served.label} renders {_at(rows, position)}, transformers and the pinned prompt have "
        f"{_at(pinned, position)}",
        *side_by_side(rows, pinned, position),
        cause=cause_of(served, PROMPT_KEYS) or _cause_of_prompt(served, chat, got, pinned),
        evidence=compared("lines", rows, pinned, position),
    )


def check_prompt_ids(
    served: Served, chat: ChatCase, got: Sequence[int], expected: Sequence[int]
) -> None:
    """Fail unless the ids of a prompt are the pinned ones.

    Where the engine shows no prompt, what the ids are of is told before the ids.
    """
    decode = served.tokenizer.tokenizers.decode
    text = str(decode(got, skip_special_tokens=False))
    if not served.connection.can("prompt"):
        pinned = text_rows(str(decode(expected, skip_special_tokens=False)))
        check_served_prompt(served, chat, text, pinned)
    check_served_ids(served, chat.name, "ids of the prompt", got, expected, text)


def _at(rows: Sequence[str], position: int) -> str:
    """A line around what matters of it: long ones are cut."""
    return f"{line_at(rows, position):.90}"


def check_same_text(served: Served, case: str, what: str, got: str, expected: str) -> None:
    """Fail unless two texts of the engine's are equal."""
    position = first_difference(got, expected)
    if position is None:
        return
    start = max(0, position - 20)
    fail(
        _subject(served, case),
        f"{served.label} {what}: character {position} is {quote(got[position : position + 20])}, "
        f"expected {quote(expected[position : position + 20])}",
        f"  got      ...{quote(got[start : position + 40])}",
        f"  expected ...{quote(expected[start : position + 40])}",
        cause=cause_of(served) or "the engine's own code",
        evidence=compared_texts(got, expected),
    )


def check_same_number(
    served: Served, case: str, what: str, got: float, expected: float, cause: str = ""
) -> None:
    """Fail unless two numbers are equal, to the float32 that engines compute in."""
    if abs(got - expected) <= 1e-6 * max(1.0, abs(expected)):
        return
    fail(
        _subject(served, case),
        f"{served.label} {what}: {got:.6g}, expected {expected:.6g}",
        cause=cause,
    )


def check_likeliest(served: Served, got: Sequence[dict[int, float]], expected: Any) -> None:
    """Fail unless the engine's log-probabilities are those computed here, within rounding."""
    for number, (answer, row) in enumerate(zip(got, expected, strict=True), start=1):
        token = max(answer, key=lambda each: abs(answer[each] - float(row[each])))
        if abs(answer[token] - float(row[token])) <= LOG_BOUND:
            continue
        fail(
            _subject(served, f"price prompt {number}"),
            f"{served.label} gives {token_rows(served.tokenizer, [token])[0]} "
            f"{answer[token]:.4f} nats, transformers {float(row[token]):.4f}, and at most "
            f"{LOG_BOUND} may lie between",
            cause="another architecture, constant or precision in the engine",
        )


def check_metadata(served: Served, key: str) -> None:
    """Fail if a key of the served file gives other ids than the pinned tokenizer's."""
    if difference := differing_metadata(served).get(key):
        fail(
            f"{served.key} {served.file.name}",
            difference,
            cause="the file was converted from another tokenizer, by another converter, or edited",
        )


def differing_metadata(served: Served) -> dict[str, str]:
    """What differs in the served file, by key; read once."""
    if served.url or served.key not in served.engine.files or is_pinned(served):
        return {}
    known: dict[str, str] | None = vars(served).get("differing")
    if known is None:
        facts = served.engine.files[served.key]
        found, expected = read_metadata(served.file), expected_metadata(served.tokenizer, facts)
        size = served.tokenizer.spec.tokenizer.vocabulary_size
        lines = {key: metadata_difference(key, found, expected, size) for key in KEYS_THAT_DECIDE}
        known = vars(served)["differing"] = {key: line for key, line in lines.items() if line}
    return known


def is_pinned(served: Served) -> bool:
    """Whether the served file is the one that is built from the pinned folder, by its hash."""
    return not served.is_packaged and _digest(served.file) == served.engine.files[served.key].sha256


@cache
def _digest(path: Path) -> str:
    from ..files import sha256

    return sha256(path)


def cause_of(served: Served, keys: Sequence[str] = KEYS_THAT_DECIDE) -> str:
    """The first of the served file's keys that differs; empty if none does."""
    if changed := served.tokenizer.changed_files:
        return f"{', '.join(changed)} is not the pinned file"
    differing = differing_metadata(served)
    return next((differing[key] for key in keys if key in differing), "")


def _cause_of_ids(
    served: Served, got: Sequence[int], expected: Sequence[int], text: str | None
) -> str:
    """The tell-tale of ids that differ though the file says what it should."""
    bos, eos = served.tokenizer.spec.tokenizer.bos, served.tokenizer.spec.tokenizer.eos
    if list(got) == [bos, *expected]:
        return "the engine puts one BOS more in front"
    if [bos, *got] == list(expected):
        return "the engine puts no BOS in front"
    if list(got) == [*expected, eos]:
        return "the engine puts EOS behind"
    if text is not None and unicodedata.normalize("NFC", text) != text:
        return "the engine does not normalise the text (NFC) as the file's normalizer does"
    if not served.engine.files:
        return "the engine's own code, or its library's: it was given the tokenizer's folder"
    return "the engine's own code: its file says what the tokenizer's folder does"


def _cause_of_prompt(served: Served, chat: ChatCase, got: str, pinned: Sequence[str]) -> str:
    if not got:
        return "the engine renders nothing"
    if chat.continue_final_message:
        return "how the engine continues an answer"
    if chat.tools is not None and not any(
        str(tool.get("function", tool).get("name", "?")) in got for tool in chat.tools
    ):
        return "the engine drops the functions"
    written = "".join(pinned)
    if any(m["role"] == "system" and _starts(m) and _starts(m) not in got for m in chat.messages):
        return "the engine drops the system message"
    if got.count("<|im_start|>") and "<|im_start|>" not in written:
        return "the engine renders another template (ChatML)"
    return "the engine changes what it is sent before it renders, or renders another template"


def _starts(message: dict[str, Any]) -> str:
    content = message.get("content")
    return content.strip()[:20] if isinstance(content, str) else ""


def pinned_rows(served: Served, chat: ChatCase, blocks: dict[str, str]) -> tuple[list[str], ...]:
    """The recorded lines of a conversation's prompt, and the rows of its ids."""
    block = blocks.get(chat.name)
    if block is None:
        fail_unjudged(_subject(served, chat.name), "no prompts snapshot is recorded")
    rows = block.split("\n")
    return [row for row in rows if row[0] == "'"], [row for row in rows if row[0] != "'"]

"""What a model does otherwise than the cases say: tried case by case, written with a reason."""

import re
from collections import Counter
from dataclasses import replace
from typing import Any

from tests.harness.data.cases import ChatCase, TextCase, conversations, texts
from tests.harness.data.exceptions import expected_text, merged_at, refuses
from tests.harness.diff import first_difference
from tests.harness.text import error_line, quote
from tests.harness.tokenizer.chat import answers, begins_with_prompt, render, render_ids
from tests.harness.tokenizer.frames import (
    PROMPT,
    between,
    broken_by,
    framed,
    has_frames_for,
    is_text,
)
from tests.harness.tokenizer.loaded import LoadedTokenizer

from .trial import Failed, Outcome

_MARKS = ("qj{}x", "the {}th of these turns")


def draft_exceptions(tokenizer: LoadedTokenizer) -> dict[str, Any]:
    """The content of `fixtures/exceptions/KEY.json`, but for faults of libraries.

    What the model's bases declare is left out. A text that comes back otherwise is declared only
    where tokenizer.json says so: else a contract fails.
    """
    found: dict[str, Any] = {
        name: {} for name in ("raises", "merged", "unframed", "computed", "rewritten")
    }
    model = tokenizer.spec
    chats = conversations().values() if model.can("chat") else ()
    for chat in chats:
        if model.can(*chat.needs) and not refuses(model, chat):
            _try_chat(tokenizer, chat, found)
    found["written"] = [
        row for text in texts().values() for row in _try_text(tokenizer, text) if row
    ]
    return {name: rows for name, rows in found.items() if rows}


def _try_chat(tokenizer: LoadedTokenizer, chat: ChatCase, found: dict[str, Any]) -> None:
    try:
        text = render(tokenizer, chat.messages, **chat.template_arguments())
    except Exception as error:
        found["raises"][chat.name] = f"Rendering raises {error_line(error)}"
        return
    if is_text(chat) and (why := _computed(tokenizer, chat)):
        found["computed"][chat.name] = f"In this order of turns {why}."
    is_framed = is_text(chat) and has_frames_for(tokenizer.spec, chat)
    if is_framed and (why := _unframed(tokenizer, chat)):
        found["unframed"][chat.name] = why
    turns = answers(chat.messages)
    try:
        kept = [turn for turn in turns if begins_with_prompt(tokenizer, chat, turn)]
    except Exception:  # a prompt alone may be refused where the whole is not
        kept = turns
    if len(kept) < len(turns):
        turn = next(turn for turn in turns if turn not in kept)
        found["rewritten"][chat.name] = _rewritten(tokenizer, chat, text, turn)
    for turn in kept:
        whole, prompt = render_ids(tokenizer, chat), render_ids(tokenizer, chat, before=turn)
        at = first_difference(whole[: len(prompt)], prompt)
        if at is not None and merged_at(tokenizer.spec, chat) is None:
            found["merged"].setdefault(chat.name, at)


def _rewritten(tokenizer: LoadedTokenizer, chat: ChatCase, whole: str, turn: int) -> str:
    given = chat.template_arguments()
    given |= {"add_generation_prompt": True, "continue_final_message": False}
    earlier = render(tokenizer, chat.messages[:turn], **given)
    at = first_difference(whole[: len(earlier)], earlier) or 0
    sides = f"{quote(earlier[at : at + 24])} becomes {quote(whole[at : at + 24])}"
    return f"The prompt before turn {turn} is written otherwise later: {sides}"


def _computed(tokenizer: LoadedTokenizer, chat: ChatCase) -> str:
    """What is wrong with marked contents in this order of turns; empty if nothing is."""
    roles, around = [message["role"] for message in chat.messages], []
    for mark in _MARKS:
        contents = [mark.format(number) for number in range(len(roles))]
        turns = [{"role": r, "content": c} for r, c in zip(roles, contents, strict=True)]
        around.append(between(render(tokenizer, turns, **chat.template_arguments()), contents))
    return broken_by(*around)


def _unframed(tokenizer: LoadedTokenizer, chat: ChatCase) -> str:
    for given, end in ((False, "end"), (True, PROMPT)):
        text = render(tokenizer, chat.messages, add_generation_prompt=given)
        right = framed(tokenizer.spec, chat.messages, end)
        if (at := first_difference(text, right)) is not None:
            sides = f"{quote(text[at : at + 24])}, the frames say {quote(right[at : at + 24])}"
            return f"At character {at} the template writes {sides}"
    return ""


def _try_text(tokenizer: LoadedTokenizer, text: TextCase) -> list[dict[str, str]]:
    rows: list[dict[str, str]] = []
    if not tokenizer.keeps_white_space:
        return rows  # its contract is of characters
    for kind in ("decode", "offsets"):
        got = _decoded(tokenizer, text) if kind == "decode" else _by_offsets(tokenizer, text)
        if got == expected_text(tokenizer.spec, text, kind):
            continue
        if got == text.full_text:
            why = "Unlike its base it gives the text back."
        elif not (why := _explained(tokenizer, text.full_text, got, kind)):
            continue  # nothing in the files says so: the contract will fail
        rows.append({"case": text.name, "kind": kind, "text": got, "why": why})
    return rows


def _decoded(tokenizer: LoadedTokenizer, text: TextCase) -> str:
    return str(tokenizer.transformers.decode(tokenizer.plain_ids(text)))


def _by_offsets(tokenizer: LoadedTokenizer, text: TextCase) -> str:
    whole, rebuilt, done = text.full_text, "", 0
    for start, end in tokenizer.transformers(whole, return_offsets_mapping=True)["offset_mapping"]:
        rebuilt += whole[max(start, done) : end]
        done = max(done, end)
    return rebuilt


def _explained(tokenizer: LoadedTokenizer, text: str, got: str, kind: str) -> str:
    """Why tokenizer.json does not give a text back; empty if nothing in it says so."""
    raw, content = tokenizer.tokenizers, tokenizer.json_file.content
    if raw.normalizer is not None:
        normal = raw.normalizer.normalize_str(text).replace("\u2581", " ")
        if got in (normal, normal.removeprefix(" ")):
            return "The normalizer of tokenizer.json writes it so."
        joined = raw.normalizer.normalize_str(text) != text and set(got) <= set(text)
        spans = [text[start:end] for start, end in raw.encode(text).offsets]
        if kind == "offsets" and joined and all(span in got for span in spans):
            return "The normalizer of tokenizer.json joins characters, and a span covers the first."
    inside = [t["content"] for t in content["added_tokens"] if t["content"] in text]
    for token in inside:
        beside = re.compile(rf"\s*{re.escape(token)}\s*")
        text, got = beside.sub(lambda _: "\0", text), beside.sub(lambda _: "\0", got)
    if inside and text == got:
        return f"White space beside {', '.join(map(repr, inside))} is not kept by its decoder."
    return ""


def of_changed_tokens(outcome: Outcome, recipe: dict[str, Any]) -> tuple[Outcome, list[str]]:
    """The outcome without texts that only a fine-tune's own tokens make other ids, and those.

    They are its snapshots, where those of its base have what the base has not.
    """
    tokens = [token["content"] for token in recipe.get("changed_tokens", ())]
    cases = {**texts(), **conversations()}

    def is_own(failed: Failed) -> bool:
        case = cases.get(failed.node.partition("-")[2].removesuffix("]"))
        said = case.full_text if isinstance(case, TextCase) else ""
        said = str(case.messages) if isinstance(case, ChatCase) else said
        return " snapshot of " in failed.first_line and any(token in said for token in tokens)

    own = [failed.first_line for failed in outcome.failed if is_own(failed)]
    return replace(outcome, failed=[f for f in outcome.failed if not is_own(f)]), own


def to_look_at(drafted: dict[str, Any]) -> list[str]:
    """Every kind of exception with its number and its first example, for review."""
    titles = {
        "raises": "conversations that the template refuses",
        "merged": "conversations whose answer merges with its prompt",
        "unframed": "conversations that the template writes otherwise than its frames",
        "computed": "conversations whose contents the template drops, repeats or moves",
        "rewritten": "conversations that do not begin with an earlier prompt",
    }
    lines = []
    for name, title in titles.items():
        rows = drafted.get(name, {})
        for case, why in list(rows.items())[:1]:
            said = f"position {why}" if isinstance(why, int) else why
            lines.append(f"{len(rows)} {title}, first {case}: {said}")
    kinds = Counter((row["kind"], row["why"]) for row in drafted.get("written", ()))
    for (kind, why), count in kinds.items():
        row = next(r for r in drafted["written"] if (r["kind"], r["why"]) == (kind, why))
        lines.append(
            f"{count} texts by {kind}, first {row['case']}: {quote(row['text'][:40])}: {why}"
        )
    if own := drafted.get("snapshots"):
        example = own[0].partition("; likely cause")[0]
        lines.append(f"{len(own)} cases hold tokens that the base has not, first {example}")
    return lines


def known_in(drafted: dict[str, Any]) -> list[str]:
    """Every known fault of a library with the number of tests that it breaks, and the first."""
    lines = []
    for fault in drafted.get("faults", ()):
        count, name = len(fault["nodes"]), fault.get("issue") or fault["reason"]
        lines.append(
            f"{count} tests that a library's fault breaks, first {fault['nodes'][0]}: {name}"
        )
    return lines

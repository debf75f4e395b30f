"""What prompt-token counts tell of a server: each known fault changes them in a way of its own."""

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..data.cases import ChatCase, TextCase, texts
from ..data.registry import Model
from ..text import error_line
from ..tokenizer.chat import render
from ..tokenizer.loaded import LoadedTokenizer
from .asking import PUBLISHED_DATE

MOST = 24  # conversations that a server is asked for
LONGEST = 400  # tokens of one: a hosted model bills them
SOUND = "nothing"
Counts = tuple[int, ...]
Messages = tuple[dict[str, Any], ...]


@dataclass(frozen=True)
class Signatures:
    """The conversations to ask for, and the counts of each fault, which may share them."""

    chats: tuple[ChatCase, ...]
    faults: dict[str, Counts]  # `SOUND` among them


def signatures(
    tokenizer: LoadedTokenizer,
    chats: Sequence[ChatCase],
    known: Callable[[str], bool] = lambda name: False,
) -> Signatures:
    """The conversations, at most `MOST`, that tell most faults apart.

    Left out is what the engine is `known` to count otherwise.
    """
    asked = [_question(text) for text in texts().values() if 0 < len(text.full_text) < LONGEST]
    sent = {
        chat.name: chat for chat in (*chats, *asked) if _can_be_sent(chat) and not known(chat.name)
    }
    counted = {name: _counts(tokenizer, chat) for name, chat in sent.items()}
    kept = {name: each for name, each in counted.items() if each and each[SOUND] <= LONGEST}
    faults = list(next(iter(kept.values()))) if kept else []
    chosen: list[str] = []
    pairs = {(a, b) for number, a in enumerate(faults) for b in faults[number + 1 :]}
    while len(chosen) < MOST:
        gains = {
            name: {pair for pair in pairs if each[pair[0]] != each[pair[1]]}
            for name, each in kept.items()
        }
        best = max(gains, key=lambda name: (len(gains[name]), -kept[name][SOUND]), default="")
        if not (best and gains[best]):
            break
        chosen.append(best)
        pairs -= gains[best]
    # More than tell the faults apart: several faults at once, and other ones, show in more.
    rest = sorted((name for name in kept if name not in chosen), key=lambda n: kept[n][SOUND])
    chosen += rest[: MOST - len(chosen)]
    rows = {fault: tuple(kept[name][fault] for name in chosen) for fault in faults}
    return Signatures(tuple(sent[name] for name in chosen), rows)


def _question(text: TextCase) -> ChatCase:
    """A text as all that a user says."""
    turn = {"role": "user", "content": text.full_text}
    return ChatCase(
        id=text.id,
        comment=text.comment,
        topic=text.topic,
        messages=(turn,),
        add_generation_prompt=True,
    )


def _can_be_sent(chat: ChatCase) -> bool:
    """Whether a hosted API takes the conversation: turns of text that end in a question."""
    texts = all(isinstance(message.get("content"), str) for message in chat.messages)
    known = all(message["role"] in ("system", "user", "assistant") for message in chat.messages)
    asks = chat.tools != () and chat.add_generation_prompt and not chat.continue_final_message
    return texts and known and asks and chat.messages[-1]["role"] == "user"


def diagnose(known: Signatures, got: Counts) -> str:
    """What the counts look like, in words; empty if they are the right ones."""
    if got == known.faults[SOUND]:
        return ""
    exact = [name for name, counts in known.faults.items() if counts == got]
    if exact:
        alike = f", which counts cannot tell apart from {' and '.join(exact[1:])}" * (
            len(exact) > 1
        )
        return f"{exact[0]}{alike}"
    sound = known.faults[SOUND]

    def equal(name: str) -> int:
        return sum(
            one == other != right
            for one, other, right in zip(got, known.faults[name], sound, strict=True)
        )

    nearest = max(known.faults, key=equal)
    wrong = sum(one != right for one, right in zip(got, sound, strict=True))
    if equal(nearest) * 2 <= wrong:
        return "no fault that is known here: another model, or several faults at once"
    return f"{nearest}, in {equal(nearest)} of the {wrong} counts that are wrong"


def _counts(tokenizer: LoadedTokenizer, chat: ChatCase) -> dict[str, int]:
    """The number of tokens by fault; empty if the conversation cannot be rendered."""
    text = _prompt(tokenizer, chat)
    if text is None:
        return {}
    file, model = tokenizer.tokenizers, tokenizer.spec
    front = model.tokenizer.bos if model.can("bos") else None
    number = len(file.encode(text, add_special_tokens=False).ids)
    counts = {
        SOUND: number,
        "BOS twice, or another token more": number + 1,
        "BOS lost, or another token": number - (front is not None),
    }
    for name, change in _OF_CONVERSATIONS.items():
        changed = _prompt(tokenizer, change(chat))
        ids = None if changed is None else file.encode(changed, add_special_tokens=False).ids
        counts[name] = number if ids is None else len(ids)
    for name, rewrite in _OF_PROMPTS.items():
        rewritten = rewrite(model, text, chat)
        counts[name] = len(file.encode(rewritten, add_special_tokens=False).ids)
    counts["texts not in NFC"] = _not_composed(tokenizer, text)
    counts["numbers cut into digits"] = number + _digits_split(tokenizer, text)
    counts["control tokens in content taken for text"] = number + _typed(tokenizer, chat)
    return counts


def _prompt(tokenizer: LoadedTokenizer, chat: ChatCase) -> str | None:
    try:
        return render(tokenizer, chat.messages, **chat.template_arguments())
    except Exception as error:
        error_line(error)  # raises what must end the run
        return None


def _each_text(chat: ChatCase, change: Callable[[str], str]) -> ChatCase:
    messages = tuple({**m, "content": change(m["content"])} for m in chat.messages)
    return replace(chat, messages=messages)


def _without(chat: ChatCase, role: str) -> ChatCase:
    kept = tuple(message for message in chat.messages if message["role"] != role)
    return replace(chat, messages=kept or chat.messages)


def _one_system(chat: ChatCase) -> ChatCase:
    own = {"role": "system", "content": "You are a helpful assistant with great knowledge."}
    return (
        chat
        if chat.messages[0]["role"] == "system"
        else replace(chat, messages=(own, *chat.messages))
    )


_OF_CONVERSATIONS: dict[str, Callable[[ChatCase], ChatCase]] = {
    "the system message dropped": lambda chat: _without(chat, "system"),
    "the functions dropped": lambda chat: replace(chat, tools=None),
    "earlier turns dropped": lambda chat: replace(
        chat,
        messages=tuple(m for m in chat.messages if m["role"] == "system") + chat.messages[-1:],
    ),
    "a system message added": _one_system,
    "white space at the ends of texts lost": lambda chat: _each_text(chat, str.strip),
    "line ends rewritten": lambda chat: _each_text(chat, lambda t: t.replace("\r\n", "\n")),
    "no generation prompt": lambda chat: replace(chat, add_generation_prompt=False),
}


def _chatml(model: Model, _: str, chat: ChatCase) -> str:
    turns = [f"<|im_start|>{m['role']}\n{m['content']}<|im_end|>\n" for m in chat.messages]
    return "".join([*turns, "<|im_start|>assistant\n"])


_OF_PROMPTS: dict[str, Callable[[Model, str, ChatCase], str]] = {
    "another template (ChatML)": _chatml,
    "today's date": lambda model, text, chat: text.replace(PUBLISHED_DATE, "9 September 2026"),
    "texts in NFKC": lambda model, text, chat: unicodedata.normalize("NFKC", text),
}


def _not_composed(tokenizer: LoadedTokenizer, text: str) -> int:
    """The number of tokens without the tokenizer's normalizer, if that is NFC."""
    file = tokenizer.tokenizers
    before = file.normalizer
    if type(before).__name__ != "NFC":
        return len(file.encode(text, add_special_tokens=False).ids)
    file.normalizer = None
    try:
        return len(file.encode(text, add_special_tokens=False).ids)
    finally:
        file.normalizer = before


def _digits_split(tokenizer: LoadedTokenizer, text: str) -> int:
    """How many tokens more there are if every digit is one."""
    pieces = map(tokenizer.tokenizers.id_to_token, tokenizer.tokenizers.encode(text).ids)
    runs = [re.sub(r"\D", "", piece) for piece in pieces if piece and piece.isascii()]
    return sum(max(len(run) - 1, 0) for run in runs)


def _typed(tokenizer: LoadedTokenizer, chat: ChatCase) -> int:
    """How many tokens more there are if control tokens that a user typed are text."""
    file, more = tokenizer.tokenizers, 0
    for message in chat.messages:
        parsed = len(file.encode(message["content"], add_special_tokens=False).ids)
        file.encode_special_tokens = True
        try:
            more += len(file.encode(message["content"], add_special_tokens=False).ids) - parsed
        finally:
            file.encode_special_tokens = False
    return more

"""Conversations to prompts, through `apply_chat_template` as users call it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import time_machine

from ..data.cases import ChatCase
from ..errors import fail
from ..examination.limits import TooLongError, rendering_limits
from ..text import error_line, quote
from .loaded import LoadedTokenizer
from .pieces import token_rows

Messages = Sequence[dict[str, Any]]
FIXED_DAY = "2024-07-26 12:00:00"
_FIXED = time_machine.travel(FIXED_DAY, tick=False)


def apply_template(tokenizer: LoadedTokenizer, messages: Messages, **given: Any) -> Any:
    """What `apply_chat_template` gives, within limits of time and memory."""
    turns = [dict(message) for message in messages]
    today = _FIXED if tokenizer.spec.follows_clock else nullcontext()
    with today, rendering_limits():
        return tokenizer.transformers.apply_chat_template(turns, **given)


def render(tokenizer: LoadedTokenizer, messages: Messages, **given: Any) -> str:
    """The prompt's text; `given` are further arguments of `apply_chat_template`."""
    text = apply_template(tokenizer, messages, tokenize=False, **given)
    assert isinstance(text, str), f"{tokenizer.key}: tokenize=False gave {type(text).__name__}"
    return text


def render_case(tokenizer: LoadedTokenizer, chat: ChatCase, **changes: Any) -> str:
    """The case's prompt, with some of its arguments changed; fails the test if it is rejected.

    Rendered once a session.
    """
    known: dict[str, str] = vars(tokenizer).setdefault("prompts", {})
    name = f"{chat.name} {sorted(changes.items())}"
    if name not in known:
        with _must_render(tokenizer, chat):
            given = chat.template_arguments() | changes
            known[name] = render(tokenizer, chat.messages, **given)
    return known[name]


def answers(messages: Messages) -> list[int]:
    """The positions of turns that the model answered, behind a prompt."""
    return [turn for turn, one in enumerate(messages) if turn and one["role"] == "assistant"]


def begins_with_prompt(tokenizer: LoadedTokenizer, chat: ChatCase, turn: int) -> bool:
    """Whether the conversation's text begins with the prompt that the turn answers."""
    given = chat.template_arguments()
    given |= {"add_generation_prompt": True, "continue_final_message": False}
    return render_case(tokenizer, chat).startswith(render(tokenizer, chat.messages[:turn], **given))


def render_ids(tokenizer: LoadedTokenizer, chat: ChatCase, before: int | None = None) -> list[int]:
    """The prompt's ids, directly; return_dict because the default changed in transformers 5.

    `before` asks for the prompt that the turn of this number answers. Rendered once a session.
    """
    known: dict[str, list[int]] = vars(tokenizer).setdefault("prompt_ids", {})
    name = f"{chat.name} {before}"
    if name in known:
        return known[name]
    turns = [dict(message) for message in chat.messages[:before]]
    given = chat.template_arguments() | {"tokenize": True, "return_dict": True}
    if before is not None:
        given |= {"add_generation_prompt": True, "continue_final_message": False}
    with _must_render(tokenizer, chat):
        batch = apply_template(tokenizer, turns, **given)
    known[name] = list(batch["input_ids"])
    return known[name]


@contextmanager
def _must_render(tokenizer: LoadedTokenizer, chat: ChatCase) -> Iterator[None]:
    try:
        yield
        return
    except (TooLongError, MemoryError) as error:
        limit = error_line(error).partition(": ")[2] or "rendering takes more than 1 GiB of memory"
        fail(f"{tokenizer.key} {chat.name}", limit, cause="the chat template repeats without end")
    except Exception as error:
        raised = error_line(error)
    fail(
        f"{tokenizer.key} {chat.name}",
        f"rendering raised {raised}",
        f'  if it is meant to, add "{chat.name}" to raises of '
        f"fixtures/exceptions/{tokenizer.key}.json",
        cause=_cause(tokenizer),
    )


def _cause(tokenizer: LoadedTokenizer) -> str:
    """Why a conversation that is declared to render does not."""
    if tokenizer.changed_files:
        return f"{', '.join(tokenizer.changed_files)} is not the pinned file"
    return "the library raises where it rendered, or a new case needs an entry in raises"


def prompt_rows(tokenizer: LoadedTokenizer, chat: ChatCase) -> list[str]:
    """The prompt line by line, then its ids: what a reviewer needs side by side."""
    rows = text_rows(render_case(tokenizer, chat))
    return [*rows, *token_rows(tokenizer, render_ids(tokenizer, chat))]


def text_rows(text: str) -> list[str]:
    """A text's lines, quoted, with their ends."""
    # Not str.splitlines: that also cuts at characters which are no line ends to a tokenizer.
    lines = [line + "\n" for line in text.split("\n")]
    lines[-1] = lines[-1][:-1]
    return list(map(quote, filter(None, lines)))

"""Conversations to prompts, through `apply_chat_template` as users call it."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from ..data.cases import ChatCase, Twin
from ..data.registry import Model
from ..errors import fail
from ..examination.limits import TooLongError, rendering_limits
from ..text import error_line, quote
from .loaded import LoadedTokenizer
from .pieces import token_rows

Messages = Sequence[dict[str, Any]]


def apply_template(tokenizer: LoadedTokenizer, messages: Messages, **given: Any) -> Any:
    """What `apply_chat_template` gives, within limits of time and memory."""
    turns = [dict(message) for message in messages]
    with rendering_limits():
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
        f'  if it is meant to, add "{tokenizer.key}" to raises of '
        f"fixtures/conversations/{chat.topic}.json [{chat.id}]",
        cause=_cause(tokenizer),
    )


def _cause(tokenizer: LoadedTokenizer) -> str:
    """Why a conversation that is declared to render does not."""
    if tokenizer.changed_files:
        return f"{', '.join(tokenizer.changed_files)} is not the pinned file"
    return "the library raises where it rendered, or a new case needs an entry in raises"


def can_be_framed(chat: ChatCase, key: str) -> bool:
    """Whether the conversation is only turns of text, which the model does not reject."""
    roles = ("system", "user", "assistant")
    plain = all(
        message.keys() == {"role", "content"}
        and message["role"] in roles
        and isinstance(message["content"], str)
        for message in chat.messages
    )
    # An empty list of functions is none to some templates, and to others a list.
    special = chat.tools is not None or chat.template_kwargs or chat.continue_final_message
    return plain and not special and key not in chat.raises


def framed(model: Model, messages: Messages) -> str:
    """The prompt that the registry's facts make of turns of text, without a generation prompt."""
    return _framed(model, [(message["role"], message["content"]) for message in messages])


def twin_text(model: Model, chat: ChatCase, twin: Twin) -> str:
    """The prompt that the registry's facts make of a case's declared twin."""
    written = [json.dumps(tool, indent=4, ensure_ascii=False) for tool in chat.tools or ()]
    functions = model.tool_preamble + "".join(f"{each}\n\n" for each in written)
    turns = [
        (role, text.replace("{functions}", functions), *end) for role, text, *end in twin.turns
    ]
    return _framed(model, turns, twin.environment)


def _framed(model: Model, given: Sequence[tuple[str, ...]], environment: str = "") -> str:
    assert model.turn is not None, f"{model.key}: the registry declares no turn"
    turns = list(given)
    if model.trims_content:
        turns = [(role, content.strip(), *end) for role, content, *end in turns]
    if model.default_system is not None and turns[0][0] != "system":
        turns.insert(0, ("system", model.default_system))
    system = turns.pop(0)[1] if model.opening and turns[0][0] == "system" else ""
    opening = model.opening.format(system=system, environment=environment)
    close = model.turn.partition("{content}")[2]
    written = [
        model.turn.format(role=role, content=content).removesuffix(close) + "".join(end or [close])
        for role, content, *end in turns
    ]
    return "".join([opening, *written, model.conversation_end])


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

"""Conversations to prompts, through `apply_chat_template` as users call it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from ..data.cases import ChatCase
from ..data.registry import Model
from ..errors import fail
from ..text import error_line, quote
from .loaded import LoadedTokenizer
from .pieces import token_rows

Messages = Sequence[dict[str, Any]]


def render(tokenizer: LoadedTokenizer, messages: Messages, **given: Any) -> str:
    """The prompt's text; `given` are further arguments of `apply_chat_template`."""
    turns = [dict(message) for message in messages]
    text = tokenizer.transformers.apply_chat_template(turns, tokenize=False, **given)
    assert isinstance(text, str), f"{tokenizer.key}: tokenize=False gave {type(text).__name__}"
    return text


def render_case(tokenizer: LoadedTokenizer, chat: ChatCase, **changes: Any) -> str:
    """The case's prompt, with some of its arguments changed; fails the test if it is rejected."""
    with _must_render(tokenizer, chat):
        return render(tokenizer, chat.messages, **chat.template_arguments() | changes)


def answers(messages: Messages) -> list[int]:
    """The positions of turns that the model answered, behind a prompt."""
    return [turn for turn, one in enumerate(messages) if turn and one["role"] == "assistant"]


def render_ids(tokenizer: LoadedTokenizer, chat: ChatCase, before: int | None = None) -> list[int]:
    """The prompt's ids, directly; return_dict because the default changed in transformers 5.

    `before` asks for the prompt that the turn of this number answers.
    """
    turns = [dict(message) for message in chat.messages[:before]]
    given = chat.template_arguments() | {"tokenize": True, "return_dict": True}
    if before is not None:
        given |= {"add_generation_prompt": True, "continue_final_message": False}
    with _must_render(tokenizer, chat):
        batch = tokenizer.transformers.apply_chat_template(turns, **given)
    return list(batch["input_ids"])


@contextmanager
def _must_render(tokenizer: LoadedTokenizer, chat: ChatCase) -> Iterator[None]:
    try:
        yield
        return
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
    special = chat.tools or chat.template_kwargs or chat.continue_final_message
    return plain and not special and key not in chat.raises


def framed(model: Model, messages: Messages) -> str:
    """The prompt that the registry's facts make of turns of text, without a generation prompt."""
    assert model.turn is not None, f"{model.key}: the registry declares no turn"
    turns = [(message["role"], message["content"]) for message in messages]
    if model.trims_content:
        turns = [(role, content.strip()) for role, content in turns]
    if model.default_system is not None and turns[0][0] != "system":
        turns.insert(0, ("system", model.default_system))
    system = turns.pop(0)[1] if model.opening and turns[0][0] == "system" else ""
    written = [model.turn.format(role=role, content=content) for role, content in turns]
    return "".join([model.opening.format(system=system), *written, model.conversation_end])


def prompt_rows(tokenizer: LoadedTokenizer, chat: ChatCase) -> list[str]:
    """The prompt line by line, then its ids: what a reviewer needs side by side."""
    # Not str.splitlines: that also cuts at characters which are no line ends to a tokenizer.
    lines = [line + "\n" for line in render_case(tokenizer, chat).split("\n")]
    lines[-1] = lines[-1][:-1]
    return [*map(quote, filter(None, lines)), *token_rows(tokenizer, render_ids(tokenizer, chat))]

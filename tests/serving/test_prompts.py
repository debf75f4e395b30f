"""Conversations to prompts in the engine: the pinned text and ids, counted alike everywhere."""

from dataclasses import replace

import pytest

from tests.harness.data.cases import ChatCase, conversations
from tests.harness.engines.asking import PUBLISHED_DATE
from tests.harness.engines.client import RequestError
from tests.harness.engines.judging import (
    asking,
    check_prompt_ids,
    check_same_number,
    check_same_text,
    check_served_prompt,
    pinned_rows,
)
from tests.harness.engines.served import Served
from tests.harness.errors import fail
from tests.harness.text import quote

OTHER = "the engine's routes make other prompts of the same conversation"


@pytest.mark.routes("prompt")
def test_prompt(served: Served, chat: ChatCase, recorded: dict[str, str]) -> None:
    lines, _ = pinned_rows(served, chat, recorded)
    with asking(served, chat.name):
        got = served.with_bos(served.connection.prompt(chat))
    check_served_prompt(served, chat, got, lines)


def test_prompt_ids(served: Served, chat: ChatCase, recorded: dict[str, str]) -> None:
    _, rows = pinned_rows(served, chat, recorded)
    with asking(served, chat.name):
        got = served.connection.prompt_ids(chat)
    check_prompt_ids(served, chat, got, [int(row.partition(" ")[0]) for row in rows])


@pytest.mark.own_file
@pytest.mark.routes("count")
def test_count(served: Served, chat: ChatCase) -> None:
    """The engine's own count of a prompt's tokens is that of the ids of what it renders."""
    with asking(served, chat.name):
        number = len(served.connection.prompt_ids(chat))
        counted = served.connection.count(chat)
    check_same_number(
        served, chat.name, "counts other tokens than it makes", counted, number, OTHER
    )


@pytest.mark.own_file  # it runs the model
@pytest.mark.routes("usage")
def test_usage(served: Served, chat: ChatCase) -> None:
    """So is the number that `usage` names, which is what a client is billed by."""
    with asking(served, chat.name):
        number = len(served.connection.prompt_ids(chat))
        used = served.connection.count(chat, "usage")
    check_same_number(served, chat.name, "uses other tokens than it makes", used, number, OTHER)


@pytest.mark.needs("bos")
def test_bos_comes_once(served: Served, chat: ChatCase) -> None:
    bos = served.tokenizer.spec.tokenizer.bos
    typed = str(chat.messages).count(served.bos_text)
    with asking(served, chat.name):
        ids = served.connection.prompt_ids(chat)
    if ids[:1] != [bos] or ids.count(bos or 0) != 1 + typed:
        fail(
            f"{served.key} {chat.name}",
            f"{served.label} puts BOS {bos} {ids.count(bos or 0)} times into the prompt, expected "
            f"once in front and {typed} times typed",
            cause="tokenizer.ggml.add_bos_token, or a template that the engine changed",
        )


@pytest.mark.routes("prompt")
def test_continued_answer(served: Served, continued: ChatCase) -> None:
    """It is what the generation prompt begins, and then the answer so far."""
    (*turns, answer) = continued.messages
    before = replace(
        continued,
        messages=tuple(turns),
        continue_final_message=False,
        add_generation_prompt=True,
    )
    with asking(served, continued.name):
        opened, got = (served.connection.prompt(chat) for chat in (before, continued))
    content = (
        answer["content"].strip() if served.tokenizer.spec.trims_content else answer["content"]
    )
    check_same_text(served, continued.name, "continued answer", got, opened + content)


def date_of(prompt: str) -> str:
    """The date that a prompt says is today's."""
    return prompt.partition("Today Date: ")[2].partition("\n")[0]


@pytest.mark.needs("date_string")
def test_date_follows_date_string(served: Served) -> None:
    chat = conversations()["dates.no_date"]
    prompts = []
    for date in (PUBLISHED_DATE, "01 Jan 2030"):
        with asking(served, chat.name):
            prompt = served.prompt_text(chat, date=date)
        check_same_text(served, chat.name, "date with date_string", date_of(prompt), date)
        prompts.append(prompt.replace(date, ""))
    check_same_text(served, chat.name, "prompt without its date", prompts[1], prompts[0])


@pytest.mark.needs("date_string")
def test_date_is_the_published_one(served: Served) -> None:
    """Without date_string it is the published template's, whatever day it is."""
    chat = conversations()["dates.no_date"]
    with asking(served, chat.name):
        date = date_of(served.prompt_text(chat, date=None))
    check_same_text(served, chat.name, "date without date_string", date, PUBLISHED_DATE)


def test_refused_conversation(served: Served, refused: ChatCase) -> None:
    """What the template or transformers refuses gets no prompt."""
    try:
        prompt = served.prompt_text(refused)
    except RequestError:
        return
    fail(
        f"{served.key} {refused.name}",
        f"{served.label} renders {quote(prompt[-60:])}, transformers refuses the conversation",
        cause="the engine changes what it is sent before it renders",
    )

"""Conversations to prompts: what the template writes, and that ids and text agree."""

import pytest
import time_machine

from tests.harness.cases import ChatCase
from tests.harness.diagnosis import check_ids, check_text, fail
from tests.harness.loading import Loaded
from tests.harness.prompts import framed as framed_text
from tests.harness.prompts import render, render_case, render_ids
from tests.harness.visible import quote

HELLO = ({"role": "user", "content": "Hi"},)


def test_direct_ids_are_those_of_the_text(model: Loaded, chat: ChatCase) -> None:
    expected = model.auto.encode(render_case(model, chat), add_special_tokens=False)
    what = "tokenize=True gives other ids than the rendered text"
    check_ids(model, chat.name, what, render_ids(model, chat), expected)


@pytest.mark.needs("chat")
def test_tokenized_prompt_is_a_batch_encoding(model: Loaded) -> None:
    """With one list of ids, asked for by name: the default moved in transformers 5."""
    got = model.auto.apply_chat_template(list(HELLO), tokenize=True, return_dict=True)
    ids = got["input_ids"] if hasattr(got, "keys") else None
    if ids is None or not all(isinstance(it, int) for it in ids):
        fail(
            f"{model.key}: apply_chat_template(tokenize=True, return_dict=True) gave "
            f"{type(got).__name__} of {ids!r:.40}, expected one list of ids under input_ids; "
            "likely cause: transformers changed what it returns"
        )


@pytest.mark.needs("bos")
def test_prompt_has_one_bos(model: Loaded, chat: ChatCase) -> None:
    """In front, written by the template; further ones only where somebody typed them."""
    bos, ids = model.model.tokenizer.bos, render_ids(model, chat)
    assert bos is not None
    typed = str(chat.messages).count(str(model.auto.bos_token))
    if ids[:1] != [bos] or ids.count(bos) != 1 + typed:
        fail(
            f"{model.key} {chat.name}: BOS {bos} stands {ids.count(bos)} times, expected once in "
            f"front and {typed} times typed; likely cause: template or post-processor changed"
        )


def test_every_turn_is_framed_as_declared(model: Loaded, framed: ChatCase) -> None:
    got = render_case(model, framed, add_generation_prompt=False)
    check_text(model, framed.name, "prompt", got, framed_text(model.model, framed.messages))


def test_generation_prompt_adds_only_its_suffix(model: Loaded, chat: ChatCase) -> None:
    if chat.continue_final_message:
        closed = render_case(model, chat, continue_final_message=False)
        opened = render_case(model, chat)
        check_text(model, chat.name, "continued prompt", opened, closed[: len(opened)])
        return
    without = render_case(model, chat, add_generation_prompt=False)
    expected = without.removesuffix(model.model.conversation_end) + str(
        model.model.generation_prompt
    )
    got = render_case(model, chat, add_generation_prompt=True)
    check_text(model, chat.name, "generation prompt", got, expected)


def test_earlier_turns_stay_a_prefix(model: Loaded, chat: ChatCase) -> None:
    """What the model saw when it answered is how the longer conversation begins."""
    whole = render_case(model, chat)
    given = chat.template_arguments() | {"add_generation_prompt": True, "continue_final_message": False}
    for turn, message in enumerate(chat.messages):
        if turn and message["role"] == "assistant":
            earlier = render(model, chat.messages[:turn], **given)
            what = f"prompt before turn {turn} is no prefix"
            check_text(model, chat.name, what, whole[: len(earlier)], earlier)


@pytest.mark.needs("chat", "system")
def test_default_system_message_is_the_declared_one(model: Loaded) -> None:
    """A template that adds a system message adds the declared one, others add none."""
    declared = model.model.default_system
    bare = render(model, HELLO)
    if declared is not None:
        system = ({"role": "system", "content": declared}, *HELLO)
        check_text(
            model, "default system message", "prompt without one", bare, render(model, system)
        )
    elif (position := bare.find("You are")) >= 0:
        fail(f"{model.key}: prompt without a system message has {quote(bare[position:][:40])}")


@pytest.mark.needs("tools")
def test_date_is_fixed_whatever_the_clock_says(model: Loaded) -> None:
    """The published template's date, in another year as today."""
    with time_machine.travel("2031-03-09 12:00:00", tick=False):
        text = render(model, HELLO)
    date = text.partition("Today Date: ")[2].partition("\n")[0]
    check_text(model, "date", "Today Date", date, "26 Jul 2024")


@pytest.mark.needs("tools")
def test_date_follows_date_string(model: Loaded) -> None:
    expected = render(model, HELLO).replace("26 Jul 2024", "01 Jan 2030")
    check_text(
        model, "date", "date_string", render(model, HELLO, date_string="01 Jan 2030"), expected
    )


def test_refused_conversation_raises(model: Loaded, refused: ChatCase) -> None:
    try:
        text = render(model, refused.messages, **refused.template_arguments())
    except Exception:  # which one differs between versions; that there is no prompt does not
        return
    fail(f"{model.key} {refused.name}: must be refused, but rendered {quote(text[-60:])}")


@pytest.mark.lacks("chat")
def test_model_without_template_raises(model: Loaded) -> None:
    try:
        text = render(model, HELLO)
    except ValueError:
        return
    fail(f"{model.key}: has no chat template, but rendered {quote(text[:60])}")

"""Conversations to prompts: the text the template writes, and that its ids match the text."""

from datetime import date
from decimal import Decimal

import pytest
import time_machine

from tests.harness.checks.tokenizer import check_ids, check_text
from tests.harness.data.cases import ChatCase
from tests.harness.errors import fail
from tests.harness.text import quote
from tests.harness.tokenizer.chat import (
    answers,
    apply_template,
    render,
    render_case,
    render_ids,
    twin_text,
)
from tests.harness.tokenizer.chat import framed as framed_text
from tests.harness.tokenizer.loaded import LoadedTokenizer

HELLO = ({"role": "user", "content": "Hi"},)
# What a tool returns, and how JSON writes it; None: it is no JSON, and must be refused.
VALUES: dict[str, tuple[object, str | None]] = {
    "float": (3.74, "3.74"),
    "true": (True, "true"),
    "nothing": (None, "null"),
    "decimal": (Decimal("3.74"), None),
    "date": (date(2024, 7, 26), None),
    "set": ({1}, None),
}


def test_tokenized_chat_equals_encoded_text(tokenizer: LoadedTokenizer, chat: ChatCase) -> None:
    expected = tokenizer.transformers.encode(render_case(tokenizer, chat), add_special_tokens=False)
    what = "tokenize=True gives other ids than the rendered text"
    check_ids(tokenizer, chat.name, what, render_ids(tokenizer, chat), expected)


@pytest.mark.needs("chat")
def test_tokenized_prompt_is_a_batch_encoding(tokenizer: LoadedTokenizer) -> None:
    """With one list of ids; return_dict=True because the default changed in transformers 5."""
    got = apply_template(tokenizer, HELLO, tokenize=True, return_dict=True)
    ids = got["input_ids"] if hasattr(got, "keys") else None
    if ids is None or not all(isinstance(token_id, int) for token_id in ids):
        fail(
            tokenizer.key,
            "apply_chat_template(tokenize=True, return_dict=True) gave "
            f"{type(got).__name__} of {ids!r:.40}, expected one list of ids under input_ids",
            cause="transformers changed what it returns",
        )


@pytest.mark.needs("bos")
def test_prompt_has_one_bos(tokenizer: LoadedTokenizer, chat: ChatCase) -> None:
    """In front, written by the template; more only where the conversation's text has them."""
    bos, ids = tokenizer.spec.tokenizer.bos, render_ids(tokenizer, chat)
    assert bos is not None
    typed = str(chat.messages).count(str(tokenizer.transformers.bos_token))
    if ids[:1] != [bos] or ids.count(bos) != 1 + typed:
        fail(
            f"{tokenizer.key} {chat.name}",
            f"BOS {bos} appears {ids.count(bos)} times, expected once in front and {typed} "
            "times typed",
            cause="template or post-processor changed",
        )


def test_every_turn_matches_registry(tokenizer: LoadedTokenizer, framed: ChatCase) -> None:
    got = render_case(tokenizer, framed, add_generation_prompt=False)
    check_text(tokenizer, framed.name, "prompt", got, framed_text(tokenizer.spec, framed.messages))


def test_message_is_written_as_its_twin(tokenizer: LoadedTokenizer, twinned: ChatCase) -> None:
    """What clients send, tools too, is written as turns of text that were written by hand."""
    twin = twinned.twin(tokenizer.key)
    assert twin is not None
    got = render_case(tokenizer, twinned, add_generation_prompt=False)
    check_text(tokenizer, twinned.name, "prompt", got, twin_text(tokenizer.spec, twinned, twin))


@pytest.mark.needs("tools")
@pytest.mark.parametrize("value", VALUES)
def test_value_in_a_result_is_json_or_refused(tokenizer: LoadedTokenizer, value: str) -> None:
    """A price as Decimal, say, must not become the name of its type."""
    given, written = VALUES[value]
    result = {"role": "tool", "content": {"price": given}}
    try:
        text = render(tokenizer, (*HELLO, result))
    except Exception:  # which one is the library's choice
        text = '"price": an error}'
    got = text.partition('"price": ')[2].partition("}")[0]
    check_text(tokenizer, f"result with a {value}", "value", got, written or "an error")


def test_generation_prompt_adds_only_its_suffix(tokenizer: LoadedTokenizer, chat: ChatCase) -> None:
    if chat.continue_final_message:
        closed = render_case(tokenizer, chat, continue_final_message=False)
        opened = render_case(tokenizer, chat)
        check_text(tokenizer, chat.name, "continued prompt", opened, closed[: len(opened)])
        return
    without = render_case(tokenizer, chat, add_generation_prompt=False)
    spec = tokenizer.spec
    expected = f"{without.removesuffix(spec.conversation_end)}{spec.generation_prompt}"
    got = render_case(tokenizer, chat, add_generation_prompt=True)
    check_text(tokenizer, chat.name, "generation prompt", got, expected)


def test_earlier_turns_stay_a_prefix(tokenizer: LoadedTokenizer, chat: ChatCase) -> None:
    """The longer conversation begins with the prompt that the model answered."""
    whole = render_case(tokenizer, chat)
    given = chat.template_arguments()
    given |= {"add_generation_prompt": True, "continue_final_message": False}
    for turn in answers(chat.messages):
        earlier = render(tokenizer, chat.messages[:turn], **given)
        what = f"prompt before turn {turn} is not a prefix"
        check_text(tokenizer, chat.name, what, whole[: len(earlier)], earlier)


@pytest.mark.needs("chat", "system")
def test_default_system_message_matches_registry(tokenizer: LoadedTokenizer) -> None:
    """A template that adds a system message adds the declared one, others add none."""
    declared = tokenizer.spec.default_system
    bare = render(tokenizer, HELLO)
    if declared is not None:
        expected = render(tokenizer, ({"role": "system", "content": declared}, *HELLO))
        check_text(tokenizer, "default system message", "prompt without one", bare, expected)
    elif (position := bare.find("You are")) >= 0:
        fail(tokenizer.key, f"prompt without a system message has {quote(bare[position:][:40])}")


@pytest.mark.needs("tools")
def test_date_does_not_follow_the_clock(tokenizer: LoadedTokenizer) -> None:
    """The published template's date, whatever the year."""
    with time_machine.travel("2031-03-09 12:00:00", tick=False):
        text = render(tokenizer, HELLO)
    date = text.partition("Today Date: ")[2].partition("\n")[0]
    check_text(tokenizer, "date", "Today Date", date, "26 Jul 2024")


@pytest.mark.needs("tools")
def test_date_follows_date_string(tokenizer: LoadedTokenizer) -> None:
    expected = render(tokenizer, HELLO).replace("26 Jul 2024", "01 Jan 2030")
    got = render(tokenizer, HELLO, date_string="01 Jan 2030")
    check_text(tokenizer, "date", "date_string", got, expected)


def test_refused_conversation_raises(tokenizer: LoadedTokenizer, refused: ChatCase) -> None:
    try:
        text = render(tokenizer, refused.messages, **refused.template_arguments())
    except Exception:  # which one differs between versions; that there is no prompt does not
        return
    fail(f"{tokenizer.key} {refused.name}", f"must be rejected, but rendered {quote(text[-60:])}")


@pytest.mark.lacks("chat")
def test_model_without_template_raises(tokenizer: LoadedTokenizer) -> None:
    try:
        text = render(tokenizer, HELLO)
    except ValueError:
        return
    fail(tokenizer.key, f"has no chat template, but rendered {quote(text[:60])}")

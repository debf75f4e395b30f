"""Conversations to prompts: the text the template writes, and that its ids match the text."""

import json
import re
from dataclasses import replace
from datetime import date
from decimal import Decimal
from itertools import pairwise

import pytest
import time_machine

from tests.harness.checks.tokenizer import check_ids, check_text, diagnose, must_work
from tests.harness.data.cases import ChatCase, FunctionCase, offers
from tests.harness.data.exceptions import is_computed, is_rewritten, is_unframed, twin_of
from tests.harness.errors import fail
from tests.harness.text import quote
from tests.harness.tokenizer.chat import (
    FIXED_DAY,
    answers,
    apply_template,
    render,
    render_case,
    render_ids,
)
from tests.harness.tokenizer.frames import (
    PROMPT,
    between,
    broken_by,
    can_be_framed,
    misplaced,
    other_notation,
    twin_text,
    with_functions,
    with_generation_prompt,
    written_bos,
)
from tests.harness.tokenizer.frames import framed as framed_text
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
    """In front, written by the template; more only where the frames or the text have them."""
    bos, ids = tokenizer.spec.tokenizer.bos, render_ids(tokenizer, chat)
    assert bos is not None
    name = str(tokenizer.transformers.bos_token)
    typed, written = str(chat.messages).count(name), written_bos(tokenizer.spec, chat, name)
    subject, cause = f"{tokenizer.key} {chat.name}", "template or post-processor changed"
    if ids[:1] != [bos] or (written is not None and ids.count(bos) != written + typed):
        often = "once in front" if written == 1 else f"{written} times, first in front,"
        fail(
            subject,
            f"BOS {bos} appears {ids.count(bos)} times, expected {often} and {typed} times typed",
            cause=cause,
        )
    if (bos, bos) in pairwise(ids) and not typed:
        fail(subject, f"BOS {bos} stands twice in a row", cause=cause)


def test_every_turn_matches_registry(tokenizer: LoadedTokenizer, framed: ChatCase) -> None:
    got = render_case(tokenizer, framed, add_generation_prompt=False)
    expected = framed_text(tokenizer.spec, framed.messages)
    if not is_unframed(tokenizer.spec, framed):
        check_text(tokenizer, framed.name, "prompt", got, expected)
    elif got == expected:
        what = "is declared to be unframed, but is written as the registry's frames say"
        fail(f"{tokenizer.key} {framed.name}", what, cause="the template changed")


def test_contents_appear_once_and_in_order(tokenizer: LoadedTokenizer, spoken: ChatCase) -> None:
    """Whatever else a template writes: with other contents in their place nothing else changes."""
    roles = [message["role"] for message in spoken.messages]
    given = spoken.template_arguments()
    texts = []
    for mark in ("qj{}x", "the {}th of these turns"):
        contents = [mark.format(number) for number in range(len(roles))]
        turns = [{"role": r, "content": c} for r, c in zip(roles, contents, strict=True)]
        texts.append(between(render(tokenizer, turns, **given), contents))
    what = broken_by(*texts)
    if is_computed(tokenizer.spec, spoken):
        if not what:
            what = "is declared to be computed, but has each content once and in order"
            fail(f"{tokenizer.key} {spoken.name}", what, cause="the template changed")
    elif what:
        cause = "the template drops, repeats or moves what is said, or reads it"
        fail(f"{tokenizer.key} {spoken.name}", what, cause=cause)


def test_message_is_written_as_its_twin(tokenizer: LoadedTokenizer, twinned: ChatCase) -> None:
    """What clients send, tools too, is written as turns of text that were written by hand."""
    twin = twin_of(tokenizer.spec, twinned)
    assert twin is not None
    got = render_case(tokenizer, twinned, add_generation_prompt=False)
    check_text(tokenizer, twinned.name, "prompt", got, twin_text(tokenizer.spec, twinned, twin))


@pytest.mark.needs("json_results")
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
    expected = with_generation_prompt(tokenizer.spec, without, chat.messages[-1]["role"])
    if can_be_framed(tokenizer.spec, chat):
        expected = framed_text(tokenizer.spec, chat.messages, PROMPT)
    got = render_case(tokenizer, chat, add_generation_prompt=True)
    if expected is None:  # no frame says how it ends: it may only add
        without, expected = got[: len(without)], without
        check_text(tokenizer, chat.name, "prompt before the generation prompt", without, expected)
        return
    check_text(tokenizer, chat.name, "generation prompt", got, expected)


def test_earlier_turns_stay_a_prefix(tokenizer: LoadedTokenizer, chat: ChatCase) -> None:
    """The longer conversation begins with the prompt that the model answered."""
    whole = render_case(tokenizer, chat)
    given = chat.template_arguments()
    given |= {"add_generation_prompt": True, "continue_final_message": False}
    earlier_prompts = {
        turn: render(tokenizer, chat.messages[:turn], **given) for turn in answers(chat.messages)
    }
    if is_rewritten(tokenizer.spec, chat):
        if all(map(whole.startswith, earlier_prompts.values())):
            what = "is declared to rewrite an earlier prompt, but begins with each of them"
            fail(f"{tokenizer.key} {chat.name}", what, cause="the template changed")
        return
    for turn, earlier in earlier_prompts.items():
        what = f"prompt before turn {turn} is not a prefix"
        check_text(tokenizer, chat.name, what, whole[: len(earlier)], earlier)


@pytest.mark.needs("chat", "system")
def test_default_system_message_matches_registry(tokenizer: LoadedTokenizer) -> None:
    """A template that adds a system message adds the declared one, others add none."""
    spec, declared = tokenizer.spec, tokenizer.spec.default_system
    bare = render(tokenizer, HELLO)
    if spec.edges:
        check_text(tokenizer, "no system message", "prompt", bare, framed_text(spec, HELLO))
    elif spec.unframed:
        return
    elif declared is not None:
        expected = render(tokenizer, ({"role": "system", "content": declared}, *HELLO))
        check_text(tokenizer, "default system message", "prompt without one", bare, expected)
    elif (position := bare.find("You are")) >= 0:
        fail(tokenizer.key, f"prompt without a system message has {quote(bare[position:][:40])}")


def test_switch_changes_the_end_of_the_prompt(tokenizer: LoadedTokenizer, switch: str) -> None:
    """An argument of the template's own, as `enable_thinking`, does what the registry says."""
    name, _, value = switch.partition("=")
    given = {"add_generation_prompt": True, name: json.loads(value)}
    got = render(tokenizer, HELLO, **given).partition("Hi")[2]
    expected = tokenizer.spec.switches[switch]
    check_text(tokenizer, switch, "prompt behind Hi", got, expected)


@pytest.mark.needs("chat")
def test_prompt_follows_the_clock_only_as_declared(tokenizer: LoadedTokenizer) -> None:
    """Another prompt every day is another input every day, also to what was trained on it."""
    spec, texts = replace(tokenizer.spec, follows_clock=False), []
    for day in (FIXED_DAY, "2031-03-09 12:00:00"):
        with time_machine.travel(day, tick=False):
            texts.append(render(replace(tokenizer, spec=spec), HELLO))
    if tokenizer.spec.follows_clock and texts[0] == texts[1]:
        what = "is declared to follow the clock, but writes the same on other days"
        fail(tokenizer.key, what, cause="the template changed")
    if not tokenizer.spec.follows_clock:
        check_text(tokenizer, "date", "prompt of 2031", texts[1], texts[0])


@pytest.mark.needs("date_string")
def test_date_follows_date_string(tokenizer: LoadedTokenizer) -> None:
    """Whichever date a prompt has without it."""
    days = ("01 Jan 2030", "26 Jul 2024")
    got, other = (render(tokenizer, HELLO, date_string=day) for day in days)
    check_text(tokenizer, "date", "date_string", got, other.replace(days[1], days[0]))
    if got.count(days[0]) != 1:
        fail(f"{tokenizer.key} date", f"date_string is written {got.count(days[0])} times")


@pytest.mark.needs("tools")
def test_functions_reach_the_prompt(tokenizer: LoadedTokenizer) -> None:
    """Each with all that is said of it, as often as the registry says, in the order given."""
    frame = tokenizer.spec.functions
    for case in (offers()["functions.two"], offers()["functions.two_in_other_order"]):
        right = with_functions(frame, case.functions, "Hi") if frame else None
        got = render(tokenizer, HELLO, tools=case.functions)
        if what := misplaced(got, case.functions, right):
            fail(f"{tokenizer.key} {case.name}", what, cause=diagnose(tokenizer)[0])


def test_functions_are_written_as_declared(
    tokenizer: LoadedTokenizer, offered: FunctionCase
) -> None:
    """As JSON, say, in which other scripts stay readable and quotes do not end a text."""
    frame, tools = tokenizer.spec.functions, offered.functions
    assert frame is not None
    got, expected = render(tokenizer, HELLO, tools=tools), with_functions(frame, tools, "Hi")
    if got != expected and (notation := other_notation(frame, tools, "Hi", got)):
        what = f"functions are written as {notation}, the registry says {frame.notation}"
        fail(f"{tokenizer.key} {offered.name}", what, cause=diagnose(tokenizer)[0])
    check_text(tokenizer, offered.name, "prompt", got, str(expected))


def test_ids_with_functions_are_those_of_the_text(
    tokenizer: LoadedTokenizer, offered: FunctionCase
) -> None:
    """By tokenizer.json alone: what is inside a function is cut as any text is."""
    text = render(tokenizer, HELLO, tools=offered.functions)
    given = {"tokenize": True, "return_dict": True}
    batch = apply_template(tokenizer, HELLO, tools=offered.functions, **given)
    expected = tokenizer.tokenizers.encode(text, add_special_tokens=False).ids
    check_ids(tokenizer, offered.name, "ids of the prompt", list(batch["input_ids"]), expected)


@pytest.mark.needs("tools")
def test_no_functions_give_the_prompt_without(tokenizer: LoadedTokenizer) -> None:
    """None always, and an empty list unless the registry says what is written for it."""
    plain, frame = render(tokenizer, HELLO), tokenizer.spec.functions
    empty = with_functions(frame, (), "Hi") if frame and frame.empty else plain
    for given, expected in ((None, plain), ([], empty)) if frame else ((None, plain),):
        got = render(tokenizer, HELLO, tools=given)
        check_text(tokenizer, "functions", f"prompt with tools={given}", got, str(expected))


@pytest.mark.needs("tools")
def test_functions_leave_what_is_said(tokenizer: LoadedTokenizer, spoken: ChatCase) -> None:
    """With functions the contents stand in the prompt as they do without, all and in order."""
    turns = [{**turn, "content": f"qj{at}zx"} for at, turn in enumerate(spoken.messages)]
    tools = offers()["functions.two"].functions
    with must_work(tokenizer, spoken.name, "rendering with functions"):
        prompts = [render(tokenizer, turns, tools=given) for given in (None, tools)]
    without, found = (", ".join(re.findall(r"qj(\d+)zx", prompt)) for prompt in prompts)
    if found != without:
        what = f"with functions the prompt has turns {found or 'none'}, without {without}"
        fail(f"{tokenizer.key} {spoken.name}", what, cause=diagnose(tokenizer)[0])


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

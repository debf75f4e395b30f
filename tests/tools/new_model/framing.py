"""Frames that depend on their neighbours, learned by rendering conversations of marked messages."""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise, product
from typing import Any

import time_machine
from jinja2 import Environment, TemplateSyntaxError, meta

from tests.harness.text import quote
from tests.harness.tokenizer.chat import FIXED_DAY
from tests.harness.tokenizer.frames import END, PROMPT, between, by_edges, places

from .template_format import Render, detect_format, predicted, renderer

_HI = ("user", "Hi")
_MOST = 4  # turns behind the system messages
_ENDS: dict[str, dict[str, Any]] = {END: {}, PROMPT: {"add_generation_prompt": True}}
_TRIMS = (None, "strip", "lstrip", "rstrip", "newlines")
_SPACED = (" {} ", "\n{}\n", "\n\n{}", "{} \n")


def frame_facts(tokenizer: Any) -> dict[str, Any]:
    """The fields of `Model` that say how the chat template writes conversations."""
    render = renderer(tokenizer)
    facts: dict[str, Any] = {"follows_clock": True} if _follows_clock(tokenizer) else {}
    with time_machine.travel(FIXED_DAY, tick=False):
        simple = detect_format(render)
        if simple and _explains(render, simple):
            return simple | facts | _switches(tokenizer, render)
        frames = learn_frames(render)
        facts |= {"edges": frames.edges, "trims": frames.trims, "unframed": frames.reason}
        facts = {name: value for name, value in facts.items() if value}
        if frames.reason and render(_HI) == render(_HI, add_generation_prompt=True):
            facts["generation_prompt"] = ""  # there is none
        return facts | _switches(tokenizer, render)


def _explains(render: Render, facts: dict[str, Any]) -> bool:
    """Whether one frame for all turns explains every conversation that is not refused."""
    for roles in _sequences():
        for end, given in _ENDS.items():
            turns = [(role, f"qj{number}zx") for number, role in enumerate(roles)]
            text, right = render(*turns, **given), predicted(facts, turns)
            if end == PROMPT:
                ending = facts.get("conversation_end", "")
                right = right.removesuffix(ending) + facts.get("generation_prompt", "")
            if text and text != right:
                return False
    return True


def _follows_clock(tokenizer: Any) -> bool:
    texts = set()
    for day in (FIXED_DAY, "2031-03-09 12:00:00"):
        with time_machine.travel(day, tick=False):
            texts.add(renderer(tokenizer)(("user", "Hi")))
    return len(texts) > 1


def _switches(tokenizer: Any, render: Render) -> dict[str, Any]:
    """What a true or false argument of the template's own makes of the prompt's end."""
    template = tokenizer.chat_template
    if not isinstance(template, str):
        return {}
    plain = re.sub(r"{%-?\s*(end)?generation\s*-?%}", "", template)  # transformers' own tags
    try:
        tree = Environment(extensions=["jinja2.ext.loopcontrols"]).parse(plain)
    except TemplateSyntaxError:
        return {}
    names, switches = meta.find_undeclared_variables(tree), {}

    def end(**given: Any) -> str:
        return render(("user", "Hi"), add_generation_prompt=True, **given).partition("Hi")[2]

    for name in sorted(names - _GIVEN):
        for value in (False, True):
            if (text := end(**{name: value})) and text != end():
                switches[f"{name}={json.dumps(value)}"] = text
    return {"switches": switches} if switches else {}


# What apply_chat_template gives to every template.
_GIVEN = {
    *("messages", "tools", "documents", "add_generation_prompt", "raise_exception"),
    *("strftime_now", "bos_token", "eos_token", "pad_token", "unk_token", "namespace", "range"),
}


@dataclass(frozen=True)
class Frames:
    """`Model.edges` and `Model.trims`, or why there are none; what they leave out."""

    edges: dict[str, str] = field(default_factory=dict)
    trims: dict[str, str] = field(default_factory=dict)
    reason: str = ""
    left_out: str = ""


def learn_frames(render: Render) -> Frames:
    """The frames that explain most conversations of system, user and assistant, without exception.

    Of conversations that are not explained, one neighbourhood of roles gets no frame: they are
    left to the properties that hold for any template.
    """
    reason = "the template refuses a question alone"
    for name, fits in _KINDS.items():
        chosen = [roles for roles in _sequences() if fits(roles)]
        edges, wrong = _edges(render, chosen)
        if edges and not wrong:
            trims = _trims(render, edges, chosen)
            return Frames(edges, trims, left_out="" if name == "all" else f"frames are of {name}")
        reason = wrong or reason
    return Frames(reason=reason)


def _sequences() -> Iterator[tuple[str, ...]]:
    for length in range(1, _MOST + 1):
        for turns in product(("user", "assistant"), repeat=length):
            for systems in range(3):
                yield ("system",) * systems + turns


def _alternates(roles: Sequence[str]) -> bool:
    turns = [role for role in roles if role != "system"]
    return turns[0] == "user" and all(left != right for left, right in pairwise(turns))


# From all conversations to those that every template is made for.
_KINDS: dict[str, Callable[[tuple[str, ...]], bool]] = {
    "all": lambda roles: True,
    "conversations with one system message": lambda roles: roles.count("system") < 2,
    "alternating turns": lambda roles: roles.count("system") < 2 and _alternates(roles),
    "conversations without a system message": lambda roles: "system" not in roles,
    "alternating turns without a system message": lambda roles: (
        "system" not in roles and _alternates(roles)
    ),
}


def _edges(render: Render, chosen: list[tuple[str, ...]]) -> tuple[dict[str, str], str]:
    """The texts between contents by place, and what contradicts them, if anything does."""
    seen: dict[tuple[str, ...], str] = {}
    for roles in chosen:
        contents = [f"qj{number}zx" for number in range(len(roles))]
        for end, given in _ENDS.items():
            if not (text := render(*zip(roles, contents, strict=True), **given)):
                continue  # it is refused
            parts = between(text, contents)
            if isinstance(parts, str):
                return {}, f"{parts} of {' > '.join(roles)}"
            for place, part in zip(places(roles, end), parts, strict=True):
                if seen.setdefault(place, part) != part:
                    both = f"{quote(seen[place][-40:])} or {quote(part[-40:])}"
                    return {}, f"the text of {' > '.join(place)} is {both}"
    edges = {}
    for place, part in seen.items():
        usual = seen.get(place[:2], part)
        if len(place) == 2 or usual != part:
            edges[" > ".join(place)] = part
        else:
            edges[" > ".join(place[:2])] = usual
    return dict(sorted(edges.items(), key=lambda edge: _order(edge[0]))), ""


def _order(name: str) -> tuple[bool, bool, str]:
    """From the start of a prompt to its end."""
    return not name.startswith("start"), name.endswith((END, PROMPT)), name


def _trims(render: Render, edges: dict[str, str], chosen: list[tuple[str, ...]]) -> dict[str, str]:
    """How the contents of each role are trimmed; none for a role that no way explains."""
    trims: dict[str, str] = {}
    for role in ("system", "user", "assistant"):
        tried = [roles for roles in chosen if role in roles and len(roles) < _MOST]
        for way in _TRIMS:
            given = trims | ({role: way} if way else {})
            if all(_agrees(render, edges, given, roles, role) for roles in tried):
                trims = given
                break
    return trims


def _agrees(
    render: Render,
    edges: dict[str, str],
    trims: dict[str, str],
    roles: tuple[str, ...],
    spaced: str,
) -> bool:
    for way in _SPACED:
        turns = [
            (role, way.format(f"qj{number}zx") if role == spaced else f"qj{number}zx")
            for number, role in enumerate(roles)
        ]
        text = render(*turns)
        if text and text != by_edges(edges, trims, turns, END):
            return False
    return True

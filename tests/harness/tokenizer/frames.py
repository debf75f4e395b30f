"""The prompt that the registry's facts make of turns of text, without a template."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any, get_args

from ..data.cases import ChatCase, Twin
from ..data.exceptions import is_unframed, refuses
from ..data.registry import Functions, Model, Notation
from ..diff import first_difference
from ..text import quote
from .chat import Messages

START, END, PROMPT = "start", "end", "prompt"
Tools = Sequence[Mapping[str, Any]]  # functions as `apply_chat_template` takes them
Turns = Sequence[tuple[str, ...]]  # role, text, and how it ends where not as others do


def is_text(chat: ChatCase) -> bool:
    """Whether the conversation is only turns of text."""
    roles = ("system", "user", "assistant")
    plain = all(
        message.keys() == {"role", "content"}
        and message["role"] in roles
        and isinstance(message["content"], str)
        for message in chat.messages
    )
    # An empty list of functions is none to some templates, and to others a list.
    special = chat.tools is not None or chat.template_kwargs or chat.continue_final_message
    return plain and not special


def can_be_framed(model: Model, chat: ChatCase) -> bool:
    """Whether the registry says how the model writes the conversation, which it does not refuse."""
    if not is_text(chat) or refuses(model, chat) or is_unframed(model, chat):
        return False
    return has_frames_for(model, chat)


def has_frames_for(model: Model, chat: ChatCase) -> bool:
    """Whether the registry has a frame for every turn of a conversation of text."""
    if not model.edges:
        return model.turn is not None
    roles = [message["role"] for message in chat.messages]
    return all(_edge(model.edges, *each) is not None for each in places(roles, END))


def framed(model: Model, messages: Messages, end: str = END) -> str:
    """The prompt that the registry's facts make of turns of text; `end` is END or PROMPT."""
    turns = [(message["role"], message["content"]) for message in messages]
    if model.edges:
        return by_edges(model.edges, model.trims, turns, end)
    text = _by_turns(model, turns)
    if end == PROMPT:
        text = f"{text.removesuffix(model.conversation_end)}{model.generation_prompt}"
    return text


def with_generation_prompt(model: Model, closed: str, role: str) -> str | None:
    """What a closed conversation becomes with `add_generation_prompt`; None if nothing says it."""
    if not model.edges:
        known = model.turn is not None
        opened = f"{closed.removesuffix(model.conversation_end)}{model.generation_prompt}"
        return opened if known else None
    end, prompt = _edge(model.edges, role, END), _edge(model.edges, role, PROMPT)
    if end is None or prompt is None or not closed.endswith(end):
        return None
    return closed.removesuffix(end) + prompt


def between(prompt: str, contents: Sequence[str]) -> list[str] | str:
    """The texts around contents, one more than they; which content is not there once, in order."""
    parts, rest = [], prompt
    for number, content in enumerate(contents):
        if (count := prompt.count(content)) != 1:
            return f"the content of turn {number} appears {count} times in the prompt"
        before, found, rest = rest.partition(content)
        if not found:
            return f"the content of turn {number} stands before that of turn {number - 1}"
        parts.append(before)
    return [*parts, rest]


def broken_by(first: list[str] | str, second: list[str] | str) -> str:
    """What `between` says is wrong, or that the texts around depend on the contents; else empty."""
    for texts in (first, second):
        if isinstance(texts, str):
            return texts
    position = first_difference(list(first), list(second))
    if position is None:
        return ""
    return (
        f"the text before turn {position} depends on what is said: "
        f"{quote(first[position][-40:])} or {quote(second[position][-40:])}"
    )


def written_bos(model: Model, chat: ChatCase, bos: str) -> int | None:
    """How often the template writes BOS by its frames: None where they do not say it."""
    if not any(bos in edge for name, edge in model.edges.items() if not name.startswith(START)):
        return 1
    if not is_text(chat) or not has_frames_for(model, chat):
        return None
    roles = [message["role"] for message in chat.messages]
    ends = places(roles, PROMPT if chat.add_generation_prompt else END)
    return sum((_edge(model.edges, *place) or "").count(bos) for place in ends)


def twin_text(model: Model, chat: ChatCase, twin: Twin) -> str:
    """The prompt that the registry's facts make of a case's declared twin."""
    written = [json.dumps(tool, indent=4, ensure_ascii=False) for tool in chat.tools or ()]
    functions = model.tool_preamble + "".join(f"{each}\n\n" for each in written)
    turns = [
        (role, text.replace("{functions}", functions), *end) for role, text, *end in twin.turns
    ]
    if model.edges:
        return by_edges(model.edges, model.trims, turns, END)
    return _by_turns(model, turns, twin.environment)


def _by_turns(model: Model, given: Turns, environment: str = "") -> str:
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


def by_edges(edges: dict[str, str], trims: Mapping[str, str], turns: Turns, end: str) -> str:
    """The prompt of `Model.edges` and `Model.trims`; KeyError if an edge is missing."""
    parts = []
    for place in places([role for role, *_ in turns], end):
        if (edge := _edge(edges, *place)) is None:
            raise KeyError(" > ".join(place))
        parts.append(edge)
    texts = [trimmed(trims.get(role), text) for role, text, *_ in turns]
    return "".join(f"{edge}{text}" for edge, text in zip(parts, [*texts, ""], strict=True))


def places(roles: Sequence[str], end: str) -> list[tuple[str, ...]]:
    """Where the texts around contents stand: between which roles, and with END before the last."""
    last = len(roles) - 1
    return [
        (left, right, END) if number == last else (left, right)
        for number, (left, right) in enumerate(pairwise([START, *roles, end]))
    ]


def _edge(edges: Mapping[str, str], *place: str) -> str | None:
    """The text between two contents: that of the last turn if there is one, else the usual."""
    return edges.get(" > ".join(place), edges.get(" > ".join(place[:2])))


def trimmed(way: str | None, text: str) -> str:
    """A content as a template that trims it writes it."""
    if way is None:
        return text
    return text.lstrip("\n") if way == "newlines" else str(getattr(text, way)())


# Options of JSON; the encoder itself, since a library may change what `json.dumps` does.
_JSON: dict[str, dict[str, Any]] = {
    "json": {},
    "json 2": {"indent": 2},
    "json 4": {"indent": 4},
    "compact": {"separators": (",", ":")},
    "sorted": {"separators": (",", ":"), "sort_keys": True},
    "ascii": {"ensure_ascii": True},
}


def with_functions(frame: Functions, tools: Tools, content: str) -> str | None:
    """The prompt of one user's message and functions; None if the frame cannot say it."""
    values = [_values(frame.notation, tool) for tool in tools]
    if not all("{tool}" in frame.each or "{function}" in frame.each or "name" in v for v in values):
        return None
    written = frame.between.join(_filled(frame.each, each) for each in values)
    prompt = frame.prompt if tools else frame.empty
    return _filled(prompt, {"content": content, "functions": written})


def _filled(text: str, values: Mapping[str, str]) -> str:
    """The text with values in the place of their names in braces."""
    names = "|".join(values)
    return re.sub(rf"{{({names})}}", lambda found: values[found[1]], text)


def _values(notation: Notation, tool: Mapping[str, Any]) -> dict[str, str]:
    values = {"tool": _written(notation, tool), "function": _written(notation, tool["function"])}
    for name, text in texts_of(tool).items():
        mixed: Notation = "plain" if name in ("name", "description") else "json"
        values[name] = _written(mixed if notation == "plain and json" else notation, text)
    return values


def _written(notation: Notation, value: Any) -> str:
    if notation in _JSON:
        text = json.JSONEncoder(**{"ensure_ascii": False, **_JSON[notation]}).encode(value)
        return text[1:-1] if isinstance(value, str) else text
    return repr(value)[1:-1] if isinstance(value, str) and notation == "python" else str(value)


def texts_of(tool: Mapping[str, Any]) -> dict[str, str]:
    """Name, description, parameter and its meaning; empty unless there is one, of text."""
    function, texts = tool["function"], {}
    for name, meaning in function.get("parameters", {}).get("properties", {}).items():
        texts = {"name": function["name"], "description": function["description"]}
        texts |= {"parameter": name, "meaning": meaning.get("description", "")}
    return texts if texts and tool == function_of(*texts.values()) else {}


def function_of(name: str, description: str, parameter: str, meaning: str) -> dict[str, Any]:
    """A function of one parameter that is a text, and required."""
    properties = {parameter: {"type": "string", "description": meaning}}
    parameters = {"type": "object", "properties": properties, "required": [parameter]}
    function = {"name": name, "description": description, "parameters": parameters}
    return {"type": "function", "function": function}


def misplaced(prompt: str, tools: Tools, right: str | None) -> str:
    """What of functions is not in a prompt as often as in the right one, or out of order; or empty.

    Without a right one, what is not in it at all.
    """
    names = [tool["function"]["name"] for tool in tools]
    for tool, name in zip(tools, names, strict=True):
        for what, text in texts_of(tool).items():
            count, expected = prompt.count(text), (right or text).count(text)
            if count != expected and (right or not count):
                whose = "" if what == "name" else f"{what} of "
                return f"{whose}{name} appears {count} times in the prompt, expected {expected}"
    found = sorted(names, key=prompt.find)
    position = first_difference(found, names)
    if position is None:
        return ""
    return f"{found[position]} stands before {names[position]}, which was given first"


def other_notation(frame: Functions, tools: Tools, content: str, got: str) -> str:
    """The notation in which a prompt has its functions, if that is all that differs."""
    others = (replace(frame, notation=notation) for notation in get_args(Notation))
    same = (other for other in others if with_functions(other, tools, content) == got)
    return next((other.notation for other in same), "")

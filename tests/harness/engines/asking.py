"""The questions that an engine is asked, by its routes as data."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ..data.cases import ChatCase
from ..data.engines import Engine, Route
from .client import Client, RequestError

PUBLISHED_DATE = "26 Jul 2024"  # the templates' own, which snapshots are recorded with
_FIXED = "fixed"  # that date, sent where the engine would write today's
_DATE = "date_string"  # the argument of the templates that have a date


def value_at(answer: Any, path: str) -> Any:
    """The value at `a.b` of JSON, `*` of every row; RequestError if there is none."""
    for place, name in enumerate(names := list(filter(None, path.split(".")))):
        if name == "*" and isinstance(answer, list):
            return [value_at(row, ".".join(names[place + 1 :])) for row in answer]
        if isinstance(answer, list) and name.isdecimal() and int(name) < len(answer):
            answer = answer[int(name)]
        elif isinstance(answer, dict) and name in answer:
            answer = answer[name]
        else:
            raise RequestError(f"the answer has no {path}")
    return answer


@dataclass(frozen=True)
class Connection:
    """An engine that runs, and how it is asked."""

    engine: Engine
    client: Client
    _prompts: dict[str, Any] = field(default_factory=dict)  # by case and changes

    def can(self, *routes: str) -> bool:
        """Whether the engine has all these routes, and the fields of `route.field`."""
        return all(has_route(self.engine, route) for route in routes)

    def ask(self, name: str, **given: Any) -> Any:
        """The answer of a route to these of our fields; RequestError if it gives none."""
        route: Route | None = self.engine.routes.get(name)  # type: ignore[call-overload]
        if route is None:
            raise RequestError(f"{self.engine.title} has no route for {name}")
        body = {route.fields[key]: value for key, value in given.items() if key in route.fields}
        posts = bool(route.fields or route.given)
        answer = self.client.ask(route.path, {**route.given, **body} if posts else None)
        value = value_at(answer, route.answer)
        return {**route.absent, **value} if route.absent else value

    def ids(self, text: str, special: bool = True, parsed: bool = True) -> list[int]:
        """A text's ids: with what is put in front, and with control tokens recognised, or not."""
        return _ids(self.ask("ids", text=text, special=special, parsed=parsed))

    def pieces(self, text: str) -> bytes:
        """What the pieces of a text's ids are when they are joined; nothing is added to it."""
        rows = self.ask("pieces", text=text, special=False, parsed=True)
        pieces = [row["piece"] for row in rows]
        return b"".join(p.encode() if isinstance(p, str) else bytes(p) for p in pieces)

    def prompt(self, chat: ChatCase, **changes: Any) -> str:
        """The text that the engine writes a conversation as; asked for once."""
        text = self._asked_once("prompt", chat, **changes)
        if not isinstance(text, str):
            raise RequestError(f"the prompt is {text!r:.40}, no text")
        return text

    def prompt_ids(self, chat: ChatCase, **changes: Any) -> list[int]:
        """The ids that the engine makes of a conversation; asked for once.

        They are those of the prompt that it shows, if it shows any.
        """
        if self.can("prompt"):
            return self.ids(self.prompt(chat, **changes))
        return _ids(self._asked_once("prompt_ids", chat, **changes))

    def _asked_once(self, route: str, chat: ChatCase, **changes: Any) -> Any:
        name = f"{route} {chat.name} {chat.messages!r} {chat.template_arguments()} {changes}"
        if name not in self._prompts:
            given = conversation(self.engine, chat, **changes)
            self._prompts[name] = self.ask(route, **given)
        return self._prompts[name]

    def count(self, chat: ChatCase, route: str = "count") -> int:
        """The number of a prompt's ids, by the engine's own count, or by `usage`."""
        number = self.ask(route, **conversation(self.engine, chat))
        if not isinstance(number, int):
            raise RequestError(f"the number of tokens is {number!r:.40}")
        return number


def _ids(answer: Any) -> list[int]:
    if not isinstance(answer, list) or not all(isinstance(each, int) for each in answer):
        raise RequestError(f"the ids are {answer!r:.40}, no list of numbers")
    return answer


def has_route(engine: Engine, name: str) -> bool:
    """Whether an engine has the route, and, of `route.field`, the field."""
    route, _, inner = name.partition(".")
    there = engine.routes.get(route)  # type: ignore[call-overload]
    return there is not None and (not inner or inner in there.fields)


def conversation(engine: Engine, chat: ChatCase, date: str | None = _FIXED) -> Any:
    """A conversation in our fields; with a date where the engine would write today's."""
    arguments = dict(chat.template_kwargs)
    if date == _FIXED:
        date = PUBLISHED_DATE if engine.writes_today else None
    if date:
        arguments.setdefault(_DATE, date)
    given: dict[str, Any] = {
        "messages": _in_api_form(chat.messages) if engine.wants_api_form else [*chat.messages],
        "opens": chat.add_generation_prompt and not chat.continue_final_message,
    }
    if chat.continue_final_message:
        given["continues"] = True
    if chat.tools is not None:
        given["tools"] = list(chat.tools)
    if arguments:
        given["arguments"] = arguments
    return given


def _in_api_form(messages: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The messages as clients of the API write them: calls have ids, and arguments are text.

    What a template makes of them is the same: the engine parses the arguments.
    """
    sent, last = list[dict[str, Any]](), ""
    for message in messages:
        calls = list[dict[str, Any]]()
        for call in message.get("tool_calls") or ():
            last = call.get("id", f"call_{len(sent)}_{len(calls)}")
            given = call["function"]["arguments"]
            text = given if isinstance(given, str) else json.dumps(given, ensure_ascii=False)
            function = {**call["function"], "arguments": text}
            calls.append({**call, "id": last, "function": function})
        changed = {"tool_calls": calls} if calls else {}
        if message["role"] == "tool" and last:
            changed["tool_call_id"] = message.get("tool_call_id", last)
        sent.append({**message, **changed})
    return sent

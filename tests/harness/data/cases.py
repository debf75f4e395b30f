"""Cases: one input with an id, read from the topics under `fixtures/`."""

from dataclasses import field
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator
from pydantic.dataclasses import dataclass

from ..errors import DataError
from ..files import FIXTURES
from ..text import allowed_values
from .registry import ModelKey
from .schema import STRICT, Comment, Slug, objects, parse, read_json

_MESSAGE_KEYS = ("role", "content", "name", "reasoning_content", "tool_calls", "tool_call_id")


def _check_message(message: dict[str, Any]) -> dict[str, Any]:
    """ValueError for a misspelt or missing key: a template would take it for empty."""
    for key in message:
        if key not in _MESSAGE_KEYS:
            raise ValueError(f"unknown key {key}: {allowed_values(key, _MESSAGE_KEYS)}")
    if "role" not in message or not {"content", "tool_calls"} & set(message):
        raise ValueError("needs role, and content or tool_calls; null stands for empty content")
    return message


Message = Annotated[dict[str, Any], AfterValidator(_check_message)]


@dataclass(frozen=True, config=STRICT)
class Declared:
    """What decoding the ids, or cutting by offsets, gives some models instead of the text."""

    models: tuple[ModelKey, ...]
    kind: Literal["decode", "offsets"]
    text: str
    why: Comment


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Case:
    """What the cases of every topic have."""

    id: Slug
    comment: Comment
    topic: str

    @property
    def name(self) -> str:
        """`topic.id`, the case's name in test ids and snapshots."""
        return f"{self.topic}.{self.id}"


@dataclass(frozen=True, kw_only=True, config=STRICT)
class TextCase(Case):
    """A text to encode; `repeat` writes long runs short."""

    text: str
    repeat: int = 1
    declared: tuple[Declared, ...] = ()

    @property
    def full_text(self) -> str:
        """The text to encode."""
        return self.text * self.repeat

    def expected(self, key: str, kind: str) -> str:
        """The declared text for a model, else the text itself."""
        for declared in self.declared:
            if key in declared.models and declared.kind == kind:
                return declared.text
        return self.full_text


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Twin:
    """The turns of text that some models must write a conversation like, by hand.

    A turn is a role and its text, and where it does not end as others do, how it ends. In a text
    `{functions}` stands for the model's preamble of functions and the case's functions as JSON.
    """

    models: tuple[ModelKey, ...]
    turns: tuple[tuple[str, ...], ...]
    environment: str = ""  # what the opening says of tools


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ChatCase(Case):
    """A conversation to render; `needs` are capabilities the model must declare."""

    messages: tuple[Message, ...]
    add_generation_prompt: bool
    needs: tuple[Literal["system", "tools", "builtin_tools", "tools_in_user_message"], ...] = ()
    tools: tuple[dict[str, Any], ...] | None = None
    template_kwargs: dict[str, Any] = field(default_factory=dict)
    continue_final_message: bool = False
    # Models whose template, or transformers itself, must refuse it.
    raises: tuple[ModelKey, ...] = ()
    # Models whose answer begins within a token of the prompt, and that token's position.
    merged: dict[ModelKey, int] = field(default_factory=dict)
    twins: tuple[Twin, ...] = ()

    def twin(self, key: str) -> Twin | None:
        """The declared twin for a model, if it has one."""
        return next((twin for twin in self.twins if key in twin.models), None)

    def template_arguments(self) -> dict[str, Any]:
        """Keyword arguments of `apply_chat_template`; those at their default are left out."""
        arguments: dict[str, Any] = {"add_generation_prompt": self.add_generation_prompt}
        if self.continue_final_message:
            arguments["continue_final_message"] = True
        if self.tools is not None:
            arguments["tools"] = list(self.tools)
        return arguments | self.template_kwargs


@dataclass(frozen=True, kw_only=True, config=STRICT)
class FunctionCase(Case):
    """Functions that a prompt offers."""

    functions: tuple[dict[str, Any], ...]


@dataclass(frozen=True, config=STRICT)
class Published:
    """An output that others published: ids of a text, or the prompt of a conversation."""

    id: Slug
    model: ModelKey
    case: str  # `topic.id` of a text (ids) or of a conversation (prompt)
    source: Comment
    ids: tuple[int, ...] | None = None
    prompt: str | None = None


def read_topic(path: Path, kind: type[Any]) -> list[Any]:
    """The cases of one topic file; ids must be unique and the topic the file's name."""
    content, place = read_json(path), f"{path.parent.name}/{path.name}"
    if not isinstance(content, dict) or set(content) != {"topic", "about", "cases"}:
        raise DataError(f"{place}: keys must be topic, about, cases")
    if content["topic"] != path.stem or not content["cases"]:
        raise DataError(f"{place}: topic must be {path.stem!r} and cases not empty")
    cases: dict[str, Any] = {}
    for row in objects(content["cases"], path):
        name = str(row.get("id", "(case without id)"))
        case = parse(kind, {**row, "topic": path.stem}, path, name)
        if cases.setdefault(case.id, case) is not case:
            raise DataError(f"{place}: [{name}] id: appears twice")
    return list(cases.values())


def read_topics(folder: Path, kind: type[Any]) -> dict[str, Any]:
    """All cases of a folder by name."""
    paths = sorted(folder.glob("*.json"))
    if not paths:
        raise DataError(f"{folder.name}/: there is no topic file")
    if others := sorted(path.name for path in folder.iterdir() if path not in paths):
        raise DataError(f"{folder.name}/{others[0]}: not a topic file: those are named TOPIC.json")
    return {case.name: case for path in paths for case in read_topic(path, kind)}


@cache
def texts() -> dict[str, TextCase]:
    """All text cases by name."""
    return read_topics(FIXTURES / "texts", TextCase)


@cache
def conversations() -> dict[str, ChatCase]:
    """All conversations by name."""
    return read_topics(FIXTURES / "conversations", ChatCase)


@cache
def offers() -> dict[str, FunctionCase]:
    """All functions that prompts offer, by name."""
    return {case.name: case for case in read_topic(FIXTURES / "functions.json", FunctionCase)}


@cache
def published() -> list[Published]:
    """All published outputs."""
    path = FIXTURES / "published.json"
    rows = objects(read_json(path), path)
    return [parse(Published, row, path, str(row.get("id"))) for row in rows]

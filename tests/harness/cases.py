"""Cases: one input with an id, read from the topics under `fixtures/`."""

import json
from dataclasses import field
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pydantic.dataclasses import dataclass

from .fields import Comment, Message, ModelKey, Slug
from .models import STRICT, DataError, parse
from .cache import FIXTURES


@dataclass(frozen=True, config=STRICT)
class Declared:
    """A declared exception: what decoding the ids, or cutting by offsets, gives instead of the
    text for some models, and why.
    """

    models: tuple[ModelKey, ...]
    kind: Literal["decode", "offsets"]
    text: str
    why: Comment


@dataclass(frozen=True, config=STRICT)
class TextCase:
    """A text to encode; `repeat` writes long runs short."""

    id: Slug
    text: str
    comment: Comment
    repeat: int = 1
    topic: str = ""
    declared: tuple[Declared, ...] = ()

    @property
    def name(self) -> str:
        """`topic.id`, the case's name in test ids and snapshots."""
        return f"{self.topic}.{self.id}"

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


@dataclass(frozen=True, config=STRICT)
class ChatCase:
    """A conversation to render; `needs` are capabilities the model must declare."""

    id: Slug
    comment: Comment
    messages: tuple[Message, ...]
    add_generation_prompt: bool
    needs: tuple[Literal["system", "tools"], ...] = ()
    tools: tuple[dict[str, Any], ...] | None = None
    template_kwargs: dict[str, Any] = field(default_factory=dict)
    continue_final_message: bool = False
    # Models whose template, or transformers itself, must refuse it.
    raises: tuple[ModelKey, ...] = ()
    topic: str = ""

    @property
    def name(self) -> str:
        """`topic.id`, the case's name in test ids and snapshots."""
        return f"{self.topic}.{self.id}"

    def template_arguments(self) -> dict[str, Any]:
        """Keyword arguments of `apply_chat_template`; those at their default are left out."""
        arguments: dict[str, Any] = {"add_generation_prompt": self.add_generation_prompt}
        if self.continue_final_message:
            arguments["continue_final_message"] = True
        if self.tools is not None:
            arguments["tools"] = list(self.tools)
        return arguments | self.template_kwargs


@dataclass(frozen=True, config=STRICT)
class Published:
    """An output that others published: ids of a text, or the prompt of a conversation."""

    id: Slug
    model: ModelKey
    case: str  # `topic.id` of a text (ids) or of a conversation (prompt)
    source: Comment
    ids: tuple[int, ...] | None = None
    prompt: str | None = None


def keys_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object; of a key that stands twice, JSON readers keep the last and say nothing."""
    content: dict[str, Any] = {}
    for key, value in pairs:
        if key in content:
            raise ValueError(f"the key {key!r} stands twice in one object")
        content[key] = value
    return content


def read_json(path: Path) -> Any:
    """A data file's content; DataError names the file and the place."""
    try:
        return json.loads(path.read_bytes().decode("utf-8"), object_pairs_hook=keys_once)
    except (OSError, ValueError) as error:
        raise DataError(f"{path.parent.name}/{path.name}: {error}") from None


def objects(rows: Any, path: Path) -> list[dict[str, Any]]:
    """The rows, if they are a list of JSON objects; else DataError."""
    if not isinstance(rows, list):
        raise DataError(f"{path.parent.name}/{path.name}: cases: {rows!r:.40} is no list")
    for row in rows:
        if not isinstance(row, dict):
            raise DataError(f"{path.parent.name}/{path.name}: cases: {row!r:.40} is no object")
    return rows


def read_topic(path: Path, kind: type[Any]) -> list[Any]:
    """The cases of one topic file; ids must be unique and the topic the file's name."""
    content = read_json(path)
    if not isinstance(content, dict) or set(content) != {"topic", "about", "cases"}:
        raise DataError(f"{path.parent.name}/{path.name}: keys must be topic, about, cases")
    if content["topic"] != path.stem or not content["cases"]:
        raise DataError(
            f"{path.parent.name}/{path.name}: topic must be {path.stem!r} and cases not empty"
        )
    cases: dict[str, Any] = {}
    for row in objects(content["cases"], path):
        place = str(row.get("id", "(case without id)"))
        case = parse(kind, {**row, "topic": path.stem}, path, place)
        if cases.setdefault(case.id, case) is not case:
            raise DataError(f"{path.parent.name}/{path.name}: [{place}] id: stands twice")
    return list(cases.values())


def read_topics(folder: Path, kind: type[Any]) -> dict[str, Any]:
    """All cases of a folder by name."""
    paths = sorted(folder.glob("*.json"))
    if not paths:
        raise DataError(f"{folder.name}/: there is no topic file")
    if others := sorted(path.name for path in folder.iterdir() if path not in paths):
        raise DataError(f"{folder.name}/{others[0]}: no topic file, which is named TOPIC.json")
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
def published() -> list[Published]:
    """All published outputs."""
    path = FIXTURES / "published.json"
    rows = objects(read_json(path), path)
    return [parse(Published, row, path, str(row.get("id"))) for row in rows]

"""What is wrong with a data table, in one clause."""

from typing import Any

from pydantic import TypeAdapter, ValidationError

from .nearest import meant

UNKNOWN = "unexpected_keyword_argument"


def names_of(kind: type[Any]) -> set[str]:
    """The fields of a dataclass, and of those in it."""
    schema = TypeAdapter(kind).json_schema()
    parts = [schema, *schema.get("$defs", {}).values()]
    return {name for part in parts for name in part.get("properties", {})}


def first_mistake(error: ValidationError, kind: type[Any]) -> str:
    """`key: what is wrong`; an unknown key before a missing one, which it was meant to be."""
    first = min(error.errors(), key=lambda it: it["type"] != UNKNOWN)
    message = f"{first['msg']}; got {first['input']!r:.80}"
    if first["type"] == UNKNOWN:
        near = meant(str(first["loc"][-1]), names_of(kind))
        module = kind.__module__.rpartition(".")[2]
        message = f"unknown key; {near or f'see the fields in tests/harness/{module}.py'}".strip()
    elif first["type"] == "missing":
        message = first["msg"]
    elif first["type"] == "value_error":
        message = str(first["ctx"]["error"])
    place = ".".join(str(part) for part in first["loc"])
    return f"{place}: {message}" if place else message

"""Strict parsing of data files: every error names file, table and key on one line."""

import json
import tomllib
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from ..errors import DataError
from ..text import did_you_mean

T = TypeVar("T")
STRICT = ConfigDict(extra="forbid", strict=True)
Slug = Annotated[str, Field(pattern=r"^[a-z0-9_]+$")]
Comment = Annotated[str, Field(min_length=10)]
_UNKNOWN = "unexpected_keyword_argument"


def parse(kind: type[T], table: dict[str, Any], file: Path, name: str) -> T:
    """Build a frozen dataclass from a data table, or raise DataError naming the place."""
    try:
        # Strict validation takes lists for tuples and tables for dataclasses in JSON only.
        return TypeAdapter(kind).validate_json(json.dumps(table))
    except ValidationError as error:
        place = f"{file.parent.name}/{file.name}: [{name}]"
        raise DataError(f"{place} {_first_error(error, kind)}") from None


def read_tables(path: Path) -> dict[str, dict[str, Any]]:
    """The tables of a TOML file by name, in the file's order; DataError for anything else."""
    place = f"{path.parent.name}/{path.name}"
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise DataError(f"{place}: {error}") from None
    if loose := [name for name, table in tables.items() if not isinstance(table, dict)]:
        raise DataError(f"{place}: [{loose[0]}] must be a table")
    return tables


def _field_names(kind: type[Any]) -> set[str]:
    schema = TypeAdapter(kind).json_schema()
    parts = [schema, *schema.get("$defs", {}).values()]
    return {name for part in parts for name in part.get("properties", {})}


def _first_error(error: ValidationError, kind: type[Any]) -> str:
    """`key: what is wrong`; an unknown key before a missing one, which it was meant to be."""
    first = min(error.errors(), key=lambda details: details["type"] != _UNKNOWN)
    message = f"{first['msg']}; got {first['input']!r:.80}"
    if first["type"] == _UNKNOWN:
        near = did_you_mean(str(first["loc"][-1]), _field_names(kind))
        fields = f"see the fields in {kind.__module__.replace('.', '/')}.py"
        message = f"unknown key; {near or fields}".strip()
    elif first["type"] == "missing":
        message = first["msg"]
    elif first["type"] == "value_error":
        message = str(first["ctx"]["error"])
    place = ".".join(str(part) for part in first["loc"])
    return f"{place}: {message}" if place else message


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object; of a key that appears twice, JSON readers silently keep the last."""
    content: dict[str, Any] = {}
    for key, value in pairs:
        if key in content:
            raise ValueError(f"the key {key!r} appears twice in one object")
        content[key] = value
    return content


def read_json(path: Path) -> Any:
    """A data file's content; DataError names the file and the place."""
    try:
        return json.loads(path.read_bytes().decode("utf-8"), object_pairs_hook=_unique_keys)
    except (OSError, ValueError) as error:
        raise DataError(f"{path.parent.name}/{path.name}: {error}") from None


def objects(rows: Any, path: Path) -> list[dict[str, Any]]:
    """The rows, if they are a list of JSON objects; else DataError."""
    place = f"{path.parent.name}/{path.name}: cases"
    if not isinstance(rows, list):
        raise DataError(f"{place}: expected a list, got {rows!r:.40}")
    for row in rows:
        if not isinstance(row, dict):
            raise DataError(f"{place}: expected an object, got {row!r:.40}")
    return rows

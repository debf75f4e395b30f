"""Hostile folders by recipe: what `fixtures/hostile/*.toml` says of each, and how it is made."""

import json
import os
import shutil
import socket
import struct
from functools import cache
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field
from pydantic.dataclasses import dataclass

from tests.harness.data.schema import STRICT, Comment, Slug, parse, read_tables
from tests.harness.files import FIXTURES

HOSTILE = FIXTURES / "hostile"

_OPERATIONS = (
    *("set", "delete", "write", "text", "list", "table", "deep", "bytes"),
    *("pipe", "socket", "folder", "link", "sparse", "remove", "header"),
)
Operation = Annotated[str, Field(pattern=f"^({'|'.join(_OPERATIONS)})$")]


@dataclass(frozen=True, config=STRICT)
class Harm:
    """One change of a file: of the JSON value at `path`, or of the file without a path.

    set and write take a value as it is; text is its first part, `times` times its second, its
    third; list is the value `times` times, table has so many keys with it; deep is lists within
    lists; bytes are in hexadecimal. link takes where it leads to, sparse the size in `times`.
    header is a change of the JSON in front of a safetensors file's data: a value, or the depth of
    one in place of all.
    """

    file: str
    op: Operation
    path: tuple[str | int, ...] = ()
    value: Any = None
    times: int = 1


@dataclass(frozen=True, config=STRICT)
class Hostile:
    """A folder that must not hurt, and what must be said of it, beside its path."""

    id: Slug
    kind: Slug  # the file's name in fixtures/hostile
    stands_for: Comment
    says: str  # empty: it may be loaded, and what is wrong with it, the contracts say
    harms: Annotated[tuple[Harm, ...], Field(min_length=1)]
    base: str = "phi3"


@cache
def hostile(kind: str) -> dict[str, Hostile]:
    """The folders of a kind by id; DataError for a mistake."""
    path = HOSTILE / f"{kind}.toml"
    return {
        name: parse(Hostile, {**table, "id": name, "kind": kind}, path, name)
        for name, table in read_tables(path).items()
    }


def make(one: Hostile, base: Path, folder: Path, canary: Path) -> Path:
    """The folder, made of a copy of the base; what would run as code creates the canary."""
    shutil.copytree(base, folder)
    for harm in one.harms:
        _do(harm, folder / harm.file, canary)
    return folder


def _do(harm: Harm, path: Path, canary: Path) -> None:
    if harm.op == "header":
        _change_header(path, harm)
        return
    if harm.path:
        content = json.loads(path.read_bytes())
        *front, last = harm.path
        place = content
        for step in front:
            place = place[step]
        if harm.op == "delete":
            del place[last]
        else:
            place[last] = _value(harm, canary)
        path.write_text(json.dumps(content), encoding="utf-8")
        return
    path.unlink(missing_ok=True)
    path.parent.mkdir(exist_ok=True)
    match harm.op:
        case "remove":
            pass
        case "pipe":
            os.mkfifo(path)
        case "socket":
            with socket.socket(socket.AF_UNIX) as made:
                here = Path.cwd()
                os.chdir(path.parent)  # a socket's path is short
                made.bind(path.name)
                os.chdir(here)
        case "folder":
            path.mkdir()
        case "link":
            path.symlink_to(harm.value)
        case "sparse":
            with path.open("wb") as stream:
                stream.truncate(harm.times)
        case "bytes":
            path.write_bytes(bytes.fromhex(harm.value))
        case _:
            value = _value(harm, canary)
            text = value if isinstance(value, str) else json.dumps(value)
            path.write_text(text, encoding="utf-8")


def _change_header(path: Path, harm: Harm) -> None:
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header, data = json.loads(content[8 : 8 + length]), content[8 + length :]
    if harm.path:
        name, field = harm.path
        header[name][field] = harm.value
        text = json.dumps(header)
    else:
        depth = harm.value["deep"]
        text = f"{'[' * depth}{']' * depth}"
    path.write_bytes(struct.pack("<Q", len(text)) + text.encode() + data)


def _value(harm: Harm, canary: Path) -> Any:
    match harm.op:
        case "text":
            before, piece, after = harm.value
            return f"{before}{piece * harm.times}{after}"
        case "list":
            return [harm.value] * harm.times
        case "table":
            return {f"{harm.value[0]}{i}": harm.value[1] for i in range(harm.times)}
        case "deep":
            return f"{'[' * harm.times}{']' * harm.times}"
        case _:
            text = json.dumps(harm.value).replace("CANARY", str(canary))
            return json.loads(text)

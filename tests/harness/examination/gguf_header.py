"""The header of a GGUF file, read with doubt: nothing it says is believed beyond the file's size.

The format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

import mmap
import stat
import struct
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any

from ..errors import AssetError
from .entries import UnfitError

_MAGIC, _VERSIONS = b"GGUF", (2, 3)
# Scalars by the format's number of their type; 7 is a boolean, 8 a text, 9 an array.
_SCALARS = {
    0: "B",
    1: "b",
    2: "H",
    3: "h",
    4: "I",
    5: "i",
    6: "f",
    7: "?",
    10: "Q",
    11: "q",
    12: "d",
}
_TEXT, _ARRAY = 8, 9
_LONGEST_KEY, _LONGEST_TEXT = 1024, 16 << 20  # bytes
_MOST_KEYS, _MOST_TENSORS, _MOST_VALUES = 4096, 65_536, 4_000_000
_MOST_DIMENSIONS = 4


@dataclass(frozen=True)
class Tensor:
    """A tensor as the header describes it; `offset` counts from the end of the header."""

    name: str
    shape: tuple[int, ...]  # the fastest dimension first
    kind: int  # ggml's number of its type
    offset: int


@dataclass
class Header:
    """What stands in front of the tensors: values by key, with their types' numbers."""

    metadata: dict[str, Any] = field(default_factory=dict)
    types: dict[str, tuple[int, ...]] = field(default_factory=dict)
    tensors: list[Tensor] = field(default_factory=list)
    data: int = 0  # where the tensors' bytes begin


def read_header(path: Path) -> Header:
    """The header; UnfitError names the key where it is not as the format has it.

    AssetError if the file cannot be read.
    """
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise UnfitError(path.name, "is no regular file")
        if found.st_size < 24:
            raise UnfitError(path.name, f"has {found.st_size} bytes, which is no GGUF file")
        with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as m:
            return _Reader(path.name, m).header()
    except OSError as error:
        raise AssetError(f"{path} cannot be read ({error.strerror or error})") from None


@dataclass
class _Reader:
    """A place in the file; every step says before it reads whether the bytes are there."""

    name: str
    content: mmap.mmap
    place: int = 0
    key: str = ""
    values: int = 0

    def unfit(self, what: str) -> UnfitError:
        return UnfitError(self.name, what, self.key)

    def take(self, number: int) -> bytes:
        if number > len(self.content) - self.place:
            raise self.unfit("goes on behind the end of the file: it was cut off, or lies")
        self.place += number
        return self.content[self.place - number : self.place]

    def number(self, code: str) -> Any:
        return struct.unpack(f"<{code}", self.take(struct.calcsize(f"<{code}")))[0]

    def text(self, longest: int = _LONGEST_TEXT) -> str:
        if (length := self.number("Q")) > longest:
            raise self.unfit(f"has a text of {length:,} bytes, and at most {longest:,} are allowed")
        try:
            return self.take(length).decode("utf-8")
        except UnicodeDecodeError:
            raise self.unfit("has a text that is no UTF-8") from None

    def header(self) -> Header:
        if self.take(4) != _MAGIC:
            raise self.unfit("does not begin as a GGUF file does")
        if (version := self.number("I")) not in _VERSIONS:
            raise self.unfit(f"is of version {version} of the format, known are 2 and 3")
        tensors, keys = self.number("Q"), self.number("Q")
        self._check("tensors", tensors, _MOST_TENSORS)
        self._check("keys", keys, _MOST_KEYS)
        header = Header()
        for _ in range(keys):
            self._read_key(header)
        self.key = ""
        for _ in range(tensors):
            header.tensors.append(self._tensor())
        step = header.metadata.get("general.alignment", 32)
        if not isinstance(step, int) or step not in (8, 16, 32, 64, 128, 256, 4096):
            raise UnfitError(self.name, f"is {step!r:.40}", "general.alignment")
        header.data = -(-self.place // step) * step
        self._check_tensors(header)
        return header

    def _check(self, what: str, number: int, most: int) -> None:
        if number > most:
            raise self.unfit(f"has {number:,} {what}, and at most {most:,} are allowed")

    def _read_key(self, header: Header) -> None:
        self.key = ""
        self.key = self.text(_LONGEST_KEY)
        if self.key in header.metadata:
            raise self.unfit("stands twice")
        kind = self.number("I")
        header.metadata[self.key], header.types[self.key] = self._value(kind)

    def _value(self, kind: int) -> tuple[Any, tuple[int, ...]]:
        if kind == _TEXT:
            return self.text(), (kind,)
        if kind == _ARRAY:
            inner, number = self.number("I"), self.number("Q")
            self.values += number
            self._check("values", self.values, _MOST_VALUES)
            return self._array(inner, number), (kind, inner)
        if kind not in _SCALARS:
            raise self.unfit(f"has the type {kind}, which does not exist")
        return self.number(_SCALARS[kind]), (kind,)

    def _array(self, inner: int, number: int) -> list[Any]:
        if inner == _TEXT:
            return self._texts(number)
        if inner not in _SCALARS:
            raise self.unfit(f"is an array of the type {inner}, which is not read")
        code = f"<{number}{_SCALARS[inner]}"
        return list(struct.unpack(code, self.take(struct.calcsize(code))))

    def _texts(self, number: int) -> list[str]:
        """Many texts, as a vocabulary has them, without a call for each part."""
        texts, content, place, end = [], self.content, self.place, len(self.content)
        for _ in range(number):
            if place + 8 > end:
                break
            length = int.from_bytes(content[place : place + 8], "little")
            if length > _LONGEST_TEXT or place + 8 + length > end:
                break
            texts.append(content[place + 8 : place + 8 + length])
            place += 8 + length
        if len(texts) < number:
            raise self.unfit(f"has {len(texts):,} of {number:,} texts: it was cut off, or lies")
        self.place = place
        try:
            return [text.decode("utf-8") for text in texts]
        except UnicodeDecodeError:
            raise self.unfit("has a text that is no UTF-8") from None

    def _tensor(self) -> Tensor:
        name = self.text(_LONGEST_KEY)
        self.key = name
        dimensions = self.number("I")
        self._check("dimensions", dimensions, _MOST_DIMENSIONS)
        shape = tuple(self.number("Q") for _ in range(dimensions))
        return Tensor(name, shape, self.number("I"), self.number("Q"))

    def _check_tensors(self, header: Header) -> None:
        room, names = len(self.content) - header.data, set[str]()
        for tensor in header.tensors:
            self.key = tensor.name
            if tensor.name in names:
                raise self.unfit("stands twice")
            names.add(tensor.name)
            # The smallest type has less than two bits a value.
            if tensor.offset > max(room, 0) or prod(tensor.shape) // 8 > room:
                raise self.unfit("lies behind the end of the file: it was cut off, or lies")

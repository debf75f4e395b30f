"""Token ids as people read them: rows of `id 'piece'`, and where two lists part."""

from collections.abc import Iterator, Sequence
from functools import cache

from .loading import Loaded
from .visible import quote


@cache
def byte_alphabet() -> dict[str, int]:
    """Byte of each character of GPT-2's byte-level alphabet.

    Printable Latin-1 stands for itself, the other bytes follow from U+0100 upwards in order.
    """
    own = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    other = [byte for byte in range(256) if byte not in own]
    return {chr(b): b for b in own} | {chr(0x100 + i): b for i, b in enumerate(other)}


def piece(loaded: Loaded, token_id: int) -> str:
    r"""The text a token stands for, quoted; bytes that are no whole character as `\xNN`."""
    token = loaded.raw.id_to_token(token_id)
    if token is None:
        return "(no such id)"
    if not loaded.byte_level:
        if len(token) == 6 and token.startswith("<0x"):
            return f"'\\x{token[3:5].lower()}'"
        return quote(token.replace("\u2581", " "))
    alphabet = byte_alphabet()
    if any(character not in alphabet for character in token):
        return quote(token)  # an added token, written as it is
    return quote(bytes(alphabet[c] for c in token).decode("utf-8", "surrogateescape"))


def row(loaded: Loaded, token_id: int) -> str:
    """`id 'piece'`."""
    return f"{token_id} {piece(loaded, token_id)}"


def rows(loaded: Loaded, ids: Sequence[int]) -> list[str]:
    """A row for every id, in order."""
    return [row(loaded, token_id) for token_id in ids]


def parting(got: Sequence[object], expected: Sequence[object]) -> int | None:
    """The first position at which two sequences differ; None if they are equal."""
    if got == expected:
        return None
    for position, (left, right) in enumerate(zip(got, expected, strict=False)):
        if left != right:
            return position
    return min(len(got), len(expected))


def at(lines: Sequence[str], position: int) -> str:
    """The line at a position, or the end."""
    return lines[position] if position < len(lines) else "(end)"


def side_by_side(got: Sequence[str], expected: Sequence[str], position: int) -> Iterator[str]:
    """A few lines around the first difference: position, got, expected, `<` where they differ."""
    first, last = max(0, position - 2), min(max(len(got), len(expected)), position + 5)
    width = max([len("got"), *(len(at(got, i)) for i in range(first, last))])
    yield f"  {'':>5}  {'got':<{width}}  expected"
    for i in range(first, last):
        left, right = at(got, i), at(expected, i)
        yield f"  {i:>5}  {left:<{width}}  {right}{'' if left == right else '  <'}"

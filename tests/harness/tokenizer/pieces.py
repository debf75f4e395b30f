"""Token ids as people read them: rows of `id 'piece'`."""

from collections.abc import Sequence
from functools import cache

from ..text import quote
from .loaded import LoadedTokenizer


@cache
def byte_alphabet() -> dict[str, int]:
    """Byte of each character of GPT-2's byte-level alphabet.

    Printable Latin-1 stands for itself, the other bytes follow from U+0100 upwards in order.
    """
    own = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    other = [byte for byte in range(256) if byte not in own]
    return {chr(b): b for b in own} | {chr(0x100 + i): b for i, b in enumerate(other)}


def token_rows(tokenizer: LoadedTokenizer, ids: Sequence[int]) -> list[str]:
    """`id 'piece'` of every id, in order."""
    return [f"{token_id} {_piece(tokenizer, token_id)}" for token_id in ids]


def _piece(tokenizer: LoadedTokenizer, token_id: int) -> str:
    r"""The text a token stands for, quoted; bytes that are no whole character as `\xNN`."""
    token = tokenizer.tokenizers.id_to_token(token_id)
    if token is None:
        return "(no such id)"
    if not tokenizer.byte_level:
        if len(token) == 6 and token.startswith("<0x"):
            return f"'\\x{token[3:5].lower()}'"
        return quote(token.replace("\u2581", " "))
    alphabet = byte_alphabet()
    if any(character not in alphabet for character in token):
        return quote(token)  # an added token, written as it is
    return quote(bytes(alphabet[c] for c in token).decode("utf-8", "surrogateescape"))

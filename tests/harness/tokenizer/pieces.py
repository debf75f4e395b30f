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


def lost_characters(tokenizer: LoadedTokenizer, text: str, got: str) -> str:
    """What a tokenizer that does not keep white space lost of a text beside it; empty if nothing.

    The characters must be those that the file's normalizer makes of the text. Unknown ones may be
    in place of any, if the ids have them.
    """
    raw, unknown = tokenizer.tokenizers, tokenizer.spec.tokenizer.unk
    normal = text if raw.normalizer is None else raw.normalizer.normalize_str(text)
    rest, said = _characters(normal), [_characters(got)]
    name = None if unknown is None else raw.id_to_token(unknown)
    if name and name not in text:
        said = _characters(got).split(name)
    if len(said) == 1:
        return "" if said[0] == rest else f"{quote(said[0][:40])} of {quote(rest[:40])}"
    for part in filter(None, said):
        _, found, rest = rest.partition(part)
        if not found:
            return f"{quote(part[:40])}, which does not come next in {quote(rest[:40])}"
    return ""


def _characters(text: str) -> str:
    return "".join(text.replace("\u2581", " ").split())

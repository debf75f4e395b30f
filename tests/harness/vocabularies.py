"""Vocabulary, merges and chat template of a GGUF file, as `tokenizer.json` holds them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Vocabulary:
    """`tokens[i]` is the token of id i; `merges` are "left right" strings in rank order."""

    tokens: tuple[str, ...]
    merges: tuple[str, ...]
    template: str | None


def read_gguf(path: Path, size: int) -> Vocabulary:
    """Read the first `size` tokens of a GGUF file.

    The files are padded to the embedding's rows, hence `size`. SentencePiece vocabularies carry
    scores in place of merges.
    """
    from gguf import GGUFReader

    fields: dict[str, Any] = dict(GGUFReader(path).fields)

    def strings(name: str, count: int | None = None) -> list[str]:
        field = fields[name]
        return [str(bytes(field.parts[index]), "utf-8") for index in field.data[:count]]

    tokens = strings("tokenizer.ggml.tokens", size)
    template = fields.get("tokenizer.chat_template")
    if "tokenizer.ggml.merges" in fields:
        merges = strings("tokenizer.ggml.merges")
    else:
        scores = fields["tokenizer.ggml.scores"]
        merges = merges_from_scores(tokens, [float(scores.parts[i][0]) for i in scores.data[:size]])
    return Vocabulary(tuple(tokens), tuple(merges), template.contents() if template else None)


def merges_from_scores(tokens: list[str], scores: list[float]) -> list[str]:
    """The BPE merges that rebuild a SentencePiece vocabulary.

    Every split of a token into two known tokens is a merge; the better the token's score, the
    earlier. Ties keep id order, first of the token, then of its two halves: the order of the
    published Phi-3 file.
    """
    ids = {token: index for index, token in enumerate(tokens)}
    ranked: list[tuple[float, str]] = []
    for token, score in zip(tokens, scores, strict=True):
        halves = ((token[:cut], token[cut:]) for cut in range(1, len(token)))
        known = [(ids[left], ids[right]) for left, right in halves if left in ids and right in ids]
        ranked += [(score, f"{tokens[left]} {tokens[right]}") for left, right in sorted(known)]
    ranked.sort(key=lambda merge: merge[0], reverse=True)
    return [merge for _, merge in ranked]

"""What people ask of tokenizers, asked of those a run had loaded: the page's vocabulary section."""

from collections.abc import Sequence
from typing import Any
from unicodedata import category

from tests.harness.loading import Loaded
from tests.harness.prices import MARKER
from tests.harness.tokens import piece
from tests.harness.visible import escape_character

from .samples import NumberRange, Sample, number_ranges, samples

WORDS = 15  # shown of each list of words
RARE = 4  # letters of a rare word at least: shorter ones are mostly endings


def vocabulary(models: dict[str, Loaded]) -> dict[str, Any]:
    """The section's data, ready for JSON; nothing is loaded for it.

    `tokenizers` has an entry for each different answer, with the keys of all models that give it;
    it is empty if the run loaded none. Counts are of ids without special tokens.
    """
    texts, ranges = samples(), number_ranges()
    answers: list[dict[str, Any]] = []
    for key, loaded in models.items():
        if "auto" not in vars(loaded):
            continue
        answer = answer_of(loaded, texts, ranges)
        same = next((it for it in answers if it | {"models": []} == answer | {"models": []}), None)
        if same is None:
            answers.append(answer)
        else:
            same["models"].append(key)
    return {
        "samples": [
            {"id": it.id, "title": it.title, "kind": it.kind}
            | {"text": legible(it.text), "characters": len(it.text)}
            for it in texts
        ],
        "prefix": MARKER,
        "tokenizers": answers,
    }


def legible(text: str) -> str:
    """A text of any script to be read: letters, marks and signs as they are, the rest escaped."""
    kept = {it for it in text if it in " \n" or category(it)[0] in "LMNPS"}
    return "".join(it if it in kept else escape_character(it) for it in text)


def answer_of(
    loaded: Loaded, texts: Sequence[Sample], ranges: Sequence[NumberRange]
) -> dict[str, Any]:
    """What one tokenizer answers."""
    ids = dict(zip((it.id for it in texts), plain(loaded, [it.text for it in texts]), strict=True))
    shown = [it.id for it in texts if it.kind == "cut"]
    words = [(len(word), -token_id, word) for word, token_id in whole_words(loaded).items()]
    rare = [(token_id, word) for letters, token_id, word in words if letters >= RARE]
    return {
        "models": [loaded.key],
        "size": len(loaded.auto),
        "cuts": {name: cells(loaded, ids[name]) for name in shown},
        "tokens": {name: len(row) for name, row in ids.items()},
        "longest": [{"text": word, "id": -it} for _, it, word in sorted(words)[::-1][:WORDS]],
        "rarest": [{"text": word, "id": -it} for it, word in sorted(rare)[:WORDS]],
        "numbers": [numbers(loaded, it) for it in ranges],
    }


def plain(loaded: Loaded, texts: Sequence[str]) -> list[list[int]]:
    """Ids of texts without special tokens, in one call."""
    ids: list[list[int]] = loaded.auto(list(texts), add_special_tokens=False)["input_ids"]
    return ids


def cells(loaded: Loaded, ids: Sequence[int]) -> list[dict[str, Any]]:
    """The tokens of a text, every character visible but for spaces."""
    return [{"text": piece(loaded, it)[1:-1], "id": it} for it in ids]


def whole_words(loaded: Loaded) -> dict[str, int]:
    """Id of every token that is a word in running text: a space, then letters only.

    A capital stands in front or nowhere, so that identifiers are left out; of two spellings of a
    word the one with the lower id is kept.
    """
    space = "\u0120" if loaded.byte_level else "\u2581"
    starts = [it for token, it in loaded.file.vocabulary.items() if token.startswith(space)]
    starts.sort()
    pieces = loaded.raw.decode_batch([[it] for it in starts])
    found: dict[str, tuple[str, int]] = {}
    for token_id, text in zip(starts, pieces, strict=True):
        word = text.removeprefix(" ")
        if word.isalpha() and word[1:] == word[1:].lower():
            found.setdefault(word.lower(), (word, token_id))
    return dict(found.values())


def numbers(loaded: Loaded, wanted: NumberRange) -> dict[str, Any]:
    """Which numbers of a range are one token, alone and after the price prompt's end."""
    every = range(wanted.first, wanted.last + 1)
    (before,) = plain(loaded, [MARKER])
    alone = plain(loaded, [str(it) for it in every])
    after = plain(loaded, [f"{MARKER}{it}" for it in every])
    return {
        "title": wanted.title,
        "of": len(every),
        "alone": runs([it for it, row in zip(every, alone, strict=True) if len(row) == 1]),
        "after": runs([it for it, row in zip(every, after, strict=True) if row[:-1] == before]),
    }


def runs(values: Sequence[int]) -> dict[str, Any]:
    """How many there are of these ascending numbers, and first and last of each run of them."""
    found: list[list[int]] = []
    for value in values:
        if found and found[-1][1] == value - 1:
            found[-1][1] = value
        else:
            found.append([value, value])
    return {"count": len(values), "runs": found}

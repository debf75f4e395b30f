"""How does each model cut a text, and what is in its vocabulary? `python -m tests.tools.explore`.

Shows the tokens of TEXT (default: a sentence and a line of code), counts them, and lists each
vocabulary's longest and rarest words that are one token, and the numbers 0 to 999 that are.
Exit status: 0, or 2 for wrong usage or files that cannot be had.
"""

import argparse
import sys
from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path

from tests.harness.console import exit_status, say
from tests.harness.errors import AssetError
from tests.harness.prices.products import MARKER
from tests.harness.sources.folders import (
    SOURCES,
    Sources,
    chosen_models,
    parse_directories,
    prepare,
    select_models,
)
from tests.harness.text import quote
from tests.harness.tokenizer.loaded import LoadedTokenizer
from tests.harness.tokenizer.pieces import token_rows

SENTENCE = "I am excited to show Tokenizers in action to my LLM engineers"
CODE = '\ndef hello_world(person):\n  print("Hello", person)\n'
WORDS = 10  # of each list
LETTERS = 4  # of a rare word at least: shorter ones are mostly endings
SHOWN = 40  # tokens of a text, for files are long


def token_ids(tokenizer: LoadedTokenizer, texts: Sequence[str]) -> list[list[int]]:
    """Ids of each text without special tokens."""
    ids: list[list[int]] = tokenizer.transformers(list(texts), add_special_tokens=False)[
        "input_ids"
    ]
    return ids


def single_token_words(tokenizer: LoadedTokenizer) -> dict[str, int]:
    """Id of every token that is a space and then letters, at most the first of them a capital."""
    space = "\u0120" if tokenizer.byte_level else "\u2581"
    ids = [it for token, it in tokenizer.json_file.vocabulary.items() if token.startswith(space)]
    texts = tokenizer.tokenizers.decode_batch([[token_id] for token_id in ids])
    words = {text.removeprefix(" "): it for text, it in zip(texts, ids, strict=True)}
    return {word: it for word, it in words.items() if word.isalpha() and word[1:].islower()}


def longest_words(words: dict[str, int]) -> list[str]:
    """The words with the most letters, with their ids."""
    longest = sorted(words, key=lambda word: (-len(word), words[word]))
    return [f"{words[word]} {quote(word)}" for word in longest[:WORDS]]


def rarest_words(words: dict[str, int]) -> list[str]:
    """The words of the highest ids: the merges learnt last."""
    rare = sorted((word for word in words if len(word) >= LETTERS), key=lambda word: -words[word])
    return [f"{words[word]} {quote(word)}" for word in rare[:WORDS]]


def single_token_numbers(tokenizer: LoadedTokenizer, prefix: str = "") -> list[int]:
    """Which of 0 to 999 add one token to a prefix's own."""
    (before,) = token_ids(tokenizer, [prefix])
    ids = token_ids(tokenizer, [f"{prefix}{number}" for number in range(1000)])
    return [number for number, row in enumerate(ids) if row[:-1] == before]


def print_texts(tokenizers: Sequence[LoadedTokenizer], texts: Sequence[str]) -> None:
    """Each text's tokens side by side, a column a model, below their counts."""
    for text in texts:
        columns = []
        for tokenizer in tokenizers:
            (ids,) = token_ids(tokenizer, [text])
            ratio = f"{len(text) / len(ids):.2f} characters each" if ids else ""
            head = [tokenizer.key, f"{len(ids)} tokens", ratio, ""]
            more = [f"... and {len(ids) - SHOWN} more"] if len(ids) > SHOWN else []
            columns.append(head + token_rows(tokenizer, ids[:SHOWN]) + more)
        widths = [max(map(len, column)) for column in columns]
        for line in zip_longest(*columns, fillvalue=""):
            cells = [f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True)]
            print("  ".join(cells).rstrip())
        print()


def print_vocabulary(tokenizer: LoadedTokenizer) -> None:
    """Words and numbers that are one token."""
    words = single_token_words(tokenizer)
    alone, after = single_token_numbers(tokenizer), single_token_numbers(tokenizer, MARKER)
    print(f"{tokenizer.key}: {len(tokenizer.json_file.vocabulary):,} tokens in the vocabulary")
    print(f"  longest words: {', '.join(longest_words(words))}")
    print(f"  rarest words:  {', '.join(rarest_words(words))}")
    print(f"  numbers 0 to 999: {len(alone)} alone, {len(after)} after {quote(MARKER)}")


def main(arguments: list[str] | None = None) -> int:
    """Print it all; AssetError if a model's or the text's file cannot be had."""
    about, _, rest = (__doc__ or "").partition("\n\n")
    prog = "python -m tests.tools.explore"
    parser = argparse.ArgumentParser(prog=prog, description=about, epilog=rest)
    parser.add_argument("text", nargs="?", metavar="TEXT", help="(default: two samples)")
    parser.add_argument("--file", type=Path, help="take the text from a file (default: TEXT)")
    parser.add_argument("--models", metavar="KEY,KEY", help="only these (default: all)")
    parser.add_argument("--source", choices=SOURCES, default="bundle", help="(default: bundle)")
    folder = "this folder's files for this model (default: from --source)"
    parser.add_argument("--model-dir", action="append", default=[], metavar="KEY=DIR", help=folder)
    options = parser.parse_args(arguments)
    texts = [SENTENCE, CODE] if options.text is None else [options.text]
    if options.file:
        try:
            texts = [options.file.read_bytes().decode()]
        except (OSError, UnicodeDecodeError) as error:
            raise AssetError(f"--file {options.file}: {error}") from None
    sources = Sources(options.source, parse_directories(options.model_dir))
    keys = chosen_models(options.models) if options.models is not None else []
    models = select_models(keys, options.source, sources.directories)
    folders = prepare(models, sources, say)
    tokenizers = [
        LoadedTokenizer(model, sources.of(model.key), lambda: folders) for model in models
    ]
    print_texts(tokenizers, texts)
    for tokenizer in tokenizers:
        print_vocabulary(tokenizer)
    return 0


if __name__ == "__main__":
    sys.exit(exit_status(main))

"""How does each model cut a text, and what is in its vocabulary? `python -m tests.tools.explore`.

Of a text (by default an English sentence and some Python), a column a model: how many tokens it
has, how many characters each stands for, and every token with its id. Then, of each vocabulary:

  * the longest words that are one token;
  * the rarest: those of the highest ids, which were merged last;
  * how many of the numbers 0 to 999 are one token, alone and after the price prompt's `Price is $`.
"""

import argparse
import sys
from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path

from tests.harness.console import exit_status
from tests.harness.errors import AssetError
from tests.harness.prices.products import MARKER
from tests.harness.prices.replies import single_token_numbers
from tests.harness.text import quote
from tests.harness.tokenizer.loaded import LoadedTokenizer
from tests.harness.tokenizer.pieces import token_rows
from tests.tools.folders import add_folder_options, prepare_folders

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
    vocabulary = tokenizer.json_file.vocabulary
    ids = [vocabulary[token] for token in vocabulary if token.startswith(space)]
    texts = tokenizer.tokenizers.decode_batch([[token_id] for token_id in ids])
    words = {text.removeprefix(" "): i for text, i in zip(texts, ids, strict=True)}
    return {word: i for word, i in words.items() if word.isalpha() and word[1:].islower()}


def longest_words(words: dict[str, int]) -> list[str]:
    """The words with the most letters, with their ids."""
    longest = sorted(words, key=lambda word: (-len(word), words[word]))
    return [f"{words[word]} {quote(word)}" for word in longest[:WORDS]]


def rarest_words(words: dict[str, int]) -> list[str]:
    """The words of the highest ids: the merges learnt last."""
    rare = sorted((word for word in words if len(word) >= LETTERS), key=lambda word: -words[word])
    return [f"{words[word]} {quote(word)}" for word in rare[:WORDS]]


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
    alone, after = (single_token_numbers(tokenizer.transformers, p) for p in ("", MARKER))
    print(f"{tokenizer.key}: {len(tokenizer.json_file.vocabulary):,} tokens in the vocabulary")
    print(f"  longest words: {', '.join(longest_words(words))}")
    print(f"  rarest words:  {', '.join(rarest_words(words))}")
    print(f"  numbers 0 to 999: {len(alone)} alone, {len(after)} after {quote(MARKER)}")


def main(arguments: list[str] | None = None) -> int:
    """Print it all; AssetError if a model's or the text's file cannot be had."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.tools.explore",
        description=__doc__,
        epilog="exit status: 0, or 2 for wrong usage or files that cannot be had",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("text", nargs="?", metavar="TEXT", help="the text (default: two samples)")
    add("--file", type=Path, help="take the text from a UTF-8 file (default: TEXT)")
    add_folder_options(parser, "show")
    options = parser.parse_args(arguments)
    texts = [SENTENCE, CODE] if options.text is None else [options.text]
    if options.file:
        try:
            texts = [options.file.read_bytes().decode()]
        except (OSError, UnicodeDecodeError) as error:
            raise AssetError(f"--file {options.file}: {error}") from None
    models, sources, folders = prepare_folders(options)
    tokenizers = [
        LoadedTokenizer(model, sources.of(model.key), lambda: folders) for model in models
    ]
    print_texts(tokenizers, texts)
    for tokenizer in tokenizers:
        print_vocabulary(tokenizer)
    return 0


if __name__ == "__main__":
    sys.exit(exit_status(main))

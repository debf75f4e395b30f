"""Price prompts of an exact number of tokens, the same in every run."""

from typing import Any

from ..price_prompts import price_prompt, read_products

FILLER = " a"  # one token more, wherever it is added between words


def words_from(start: int) -> list[str]:
    """The words of all products, from some point on; prompts of one batch differ by it."""
    words = " ".join(product.text.replace("\n", " ") for product in read_products()).split(" ")
    shift = 37 * start % len(words)
    return words[shift:] + words[:shift]


def fixed_prompt(tokenizer: Any, tokens: int, start: int = 0) -> str:
    """A price prompt that `tokenizer.encode` gives exactly `tokens` ids for, special ones too.

    ValueError if there is none, which a filler of more than one token would cause.
    """
    words = words_from(start)
    low, high = 0, tokens  # the most words that fit, by halves
    while low < high:
        middle = (low + high + 1) // 2
        fits = count(tokenizer, words[:middle], 1) <= tokens
        low, high = (middle, high) if fits else (low, middle - 1)
    # The filler ends every text: the last word's full stop may be one token with the line's end.
    fillers = 1 + tokens - count(tokenizer, words[:low], 1)
    if low == 0 or count(tokenizer, words[:low], fillers) != tokens:
        raise ValueError(f"no price prompt of exactly {tokens} tokens")
    return prompt(words[:low], fillers)


def prompt(words: list[str], fillers: int) -> str:
    """The prompt about these words."""
    return price_prompt(" ".join(words) + FILLER * fillers)


def count(tokenizer: Any, words: list[str], fillers: int) -> int:
    """Its tokens."""
    return len(tokenizer.encode(prompt(words, fillers)))

"""Reading a price out of a model's reply, and the tokens a price can be made of."""

import math
import re
from typing import Any

from .products import MARKER

# A comma belongs to the number only where it groups thousands; the digits are ASCII on purpose.
_NUMBER = re.compile(r"(?:[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])|[0-9]+)(?:\.[0-9]+)?|\.[0-9]+")
_OPENS_WITH_NUMBER = re.compile(r"\s*[$-]*\s*" + f"(?:{_NUMBER.pattern})")
_SPECIAL_TOKEN = re.compile(r"<\|[^|]*\|>")


def _reply_of(text: str) -> str:
    """The part of `text` that answers: what follows the first `Price is $`, else all of it.

    A text that opens with a number is a bare reply even if it runs on into a further
    `Price is $`; so with or without the prompt in front, a reply reads the same. A reply that
    opens with words, then a number, then the marker cannot be told from a prompt; the suite
    generates four tokens, too few for that.
    """
    _, marker, answer = text.partition(MARKER)
    return text if not marker or _OPENS_WITH_NUMBER.match(text) else answer


def extract_price(reply: str) -> float | None:
    """The price in dollars that a reply names, or None if it names none.

    `reply` is what the model wrote, or the prompt and what it wrote. The first number counts and
    whatever follows it is ignored: of a range the lower end, of several prices the first, of
    `1e3` and `1.8k` the digits in front, of a cut-off `1,` the 1, of `1.2.3` the 1.2. Thousands
    separators are taken out; any other comma ends the number (`374,50` is 374). A sign is a dash,
    for prices are not negative. The currency is not converted, and `99 cents` is 99.

    None also for digits outside ASCII, which no price of the data is written in (full width,
    superscript), for digits inside a special token's name, and for a number too large for a float.
    """
    number = _NUMBER.search(_SPECIAL_TOKEN.sub(" ", _reply_of(reply)))
    if number is None:
        return None
    price = float(number[0].replace(",", ""))
    return price if math.isfinite(price) else None


def single_token_numbers(tokenizer: Any, prefix: str) -> list[str]:
    """The numbers 0 to 999 that a transformers tokenizer encodes as one token after the prefix."""
    numbers = [str(number) for number in range(1000)]
    texts = [prefix, *(prefix + number for number in numbers)]
    before, *ids = tokenizer(texts, add_special_tokens=False)["input_ids"]
    return [
        number
        for number, row in zip(numbers, ids, strict=True)
        if len(row) == len(before) + 1 and row[: len(before)] == before
    ]


def price_token_ids(tokenizer: Any) -> frozenset[int]:
    """The ids whose own decode is ASCII digits and nothing else: all a whole price consists of.

    `tokenizer` is a `tokenizers.Tokenizer` or a transformers tokenizer that holds one. The raw
    decoder is used, in one batch: it does no clean-up, so the pieces are those of the file, and
    Qwen2's 151,646 ids take 0.3 s. Byte-fallback tokens such as `<0x37>` count, for they print.
    """
    raw = getattr(tokenizer, "backend_tokenizer", tokenizer)
    ids = list(raw.get_vocab(with_added_tokens=True).values())
    pieces = raw.decode_batch([[token] for token in ids], skip_special_tokens=False)
    digits = zip(ids, pieces, strict=True)
    return frozenset(token for token, piece in digits if piece.isascii() and piece.isdigit())

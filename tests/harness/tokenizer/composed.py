"""What calls must give, composed by hand from the ids of single texts and the registry's BOS."""

from collections.abc import Iterator, Sequence

from .loaded import LoadedTokenizer


def pair(tokenizer: LoadedTokenizer, first: Sequence[int], second: Sequence[int]) -> list[int]:
    """The ids of two texts in one call: each as it is alone, and what stands between them."""
    return tokenizer.whole([*first, *tokenizer.between, *second])


def pair_sequences(
    tokenizer: LoadedTokenizer, first: Sequence[int], second: Sequence[int]
) -> list[int | None]:
    """Which of the two texts each id belongs to; None for what the model puts around them."""

    def added(ids: Sequence[int]) -> list[int | None]:
        return [None] * len(ids)

    middle = [*[0] * len(first), *added(tokenizer.between), *[1] * len(second)]
    return [*added(tokenizer.front), *middle, *added(tokenizer.behind)]


def windows(
    tokenizer: LoadedTokenizer, ids: Sequence[int], length: int, stride: int, side: str
) -> list[list[int]]:
    """A text cut into windows of `length` ids, BOS included, that share `stride` ids.

    They are counted from the side that truncation keeps, until the other end is reached.
    """
    room = length - len(tokenizer.whole([]))
    return [tokenizer.whole(part) for part in _parts(list(ids), room, stride, side)]


def _parts(ids: list[int], room: int, stride: int, side: str) -> Iterator[list[int]]:
    for done in range(0, len(ids), room - stride):
        if side == "right":
            yield ids[done : done + room]
        else:
            yield ids[max(0, len(ids) - done - room) : len(ids) - done]
        if done + room >= len(ids):
            return


def pieces(tokenizer: LoadedTokenizer, ids: Sequence[int]) -> list[str]:
    """The text of each id alone, by the decoder of the model's tokenizer.json."""
    return [tokenizer.tokenizers.decode([each], skip_special_tokens=False) for each in ids]

"""Judges what a model answered: which tokens, how many, and how near two sets of logits are."""

from collections.abc import Sequence
from typing import Any

from .diagnosis import fail
from .generation import Answer, decoded
from .live import Live
from .logits import lead, logit_bound
from .tokens import at, parting, side_by_side
from .visible import quote


def shown(live: Live, ids: Sequence[int]) -> list[str]:
    """`id 'piece'` of every id."""
    return [f"{token} {quote(decoded(live.tokenizer, [token]))}" for token in ids]


def check_tokens(
    live: Live, what: str, got: Sequence[int], expected: Sequence[int], cause: str
) -> None:
    """Fail unless two lists of ids are equal."""
    position = parting(list(got), list(expected))
    if position is not None:
        left, right = shown(live, got), shown(live, expected)
        fail(
            f"{live.title}: {what}: token {position} got {at(left, position)}, expected "
            f"{at(right, position)}; likely cause: {cause}",
            *side_by_side(left, right, position),
        )


def check_front(live: Live, answer: Answer) -> None:
    """Fail unless what came back begins with the ids that were given."""
    got = answer.rows[0][: len(answer.prompt_ids)]
    cause = "generate cuts, pads or heals the input ids"
    check_tokens(live, "returned prompt", got, answer.prompt_ids, cause)


def check_count(live: Live, answer: Answer, expected: int, what: str) -> None:
    """Fail unless so many new tokens came back."""
    if len(answer.new) != expected:
        fail(
            f"{live.title}: {what}: got {len(answer.new)} new tokens, expected {expected}; likely "
            f"cause: max_new_tokens={answer.settings.get('max_new_tokens')} and "
            f"eos_token_id={answer.settings.get('eos_token_id')} end the answer elsewhere",
            f"  new tokens: {', '.join(shown(live, answer.new))}",
        )


def check_ends_at(live: Live, endless: Answer, ended: Answer, eos: int) -> None:
    """Fail unless the answer with this eos is the endless one up to its first such token."""
    expected = endless.new[: endless.new.index(eos) + 1]
    cause = f"eos {shown(live, [eos])[0]} does not end the answer, or changes it"
    check_tokens(live, "answer up to eos", ended.new, expected, cause)


def check_logits(live: Live, what: str, got: Any, expected: Any, cause: str) -> None:
    """Fail unless two vectors of logits are equal within `logit_bound`."""
    difference, bound = float((got - expected).abs().max()), logit_bound(live.facts, expected)
    if not difference <= bound:  # so that NaN fails
        best = [shown(live, [int(logits.argmax())])[0] for logits in (got, expected)]
        fail(
            f"{live.title}: {what}: logits differ by {difference:.3f}, bound {bound:.3f}; "
            f"likeliest got {best[0]}, expected {best[1]}; likely cause: {cause}"
        )


def check_batch(live: Live, what: str, batch: Any, singles: Sequence[Any]) -> None:
    """Fail unless each row of a batch has the logits of its prompt alone, within the bound.

    Where the likeliest token leads by more than the bound it must be the same. Real weights
    must know the answer to at least one of the prompts that well, or nothing was checked.
    """
    decided, cause = 0, "pads are read, or positions are counted with them"
    for number, (row, single) in enumerate(zip(batch, singles, strict=True)):
        name = f"{what}: prompt {number}"
        check_logits(live, name, row, single, cause)
        if lead(single) > logit_bound(live.facts, single):
            decided += 1
            check_tokens(live, name, [int(row.argmax())], [int(single.argmax())], cause)
    if live.weights.trained and not decided:
        leads = ", ".join(f"{lead(single):.2f}" for single in singles)
        fail(
            f"{live.title}: {what}: no prompt's first token leads by more than the bound (leads "
            f"{leads}), expected one; likely cause: weights that know none of them"
        )


def check_hidden(live: Live, plain: Answer, hidden: Answer, read: Answer) -> None:
    """Fail unless a prefix under zeros of the mask changes nothing.

    `plain` answers the prompt alone, `hidden` the prompt behind the hidden prefix, `read` behind
    the same prefix as text. With real weights that one must differ, or the prefix shows nothing.
    """
    cause = "the attention mask is not honoured"
    check_logits(live, "prefix hidden by the mask", hidden.logits, plain.logits, cause)
    other = {name for name in plain.settings if plain.settings[name] != hidden.settings.get(name)}
    if other - {"max_length"}:
        name = min(other - {"max_length"})
        fail(
            f"{live.title}: with a hidden prefix {name} got {hidden.settings.get(name)}, expected "
            f"{plain.settings[name]}; likely cause: generate derives it from the mask"
        )
    difference = float((read.logits - plain.logits).abs().max())
    if live.weights.trained and difference <= logit_bound(live.facts, plain.logits):
        fail(
            f"{live.title}: a prefix that is read moves the logits by {difference:.3f} only, "
            "expected more than the bound; likely cause: the model does not attend"
        )

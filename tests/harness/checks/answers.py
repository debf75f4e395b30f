"""Checks of what a model answered: which tokens, how many, and how near two sets of logits are."""

from collections.abc import Sequence
from typing import Any

from ..diff import first_difference, line_at, side_by_side
from ..errors import fail
from ..model.generation import Answer, decoded
from ..model.loading import LoadedModel
from ..model.logits import lead, logit_bound
from ..text import quote

_LIMITS = ("max_new_tokens", "eos_token_id")


def id_rows(loaded: LoadedModel, ids: Sequence[int]) -> list[str]:
    """`id 'piece'` of every id, by the tokenizer the model was loaded with."""
    return [f"{token} {quote(decoded(loaded.tokenizer, [token]))}" for token in ids]


def check_tokens(
    loaded: LoadedModel, what: str, got: Sequence[int], expected: Sequence[int], cause: str
) -> None:
    """Fail unless two lists of ids are equal."""
    position = first_difference(list(got), list(expected))
    if position is not None:
        left, right = id_rows(loaded, got), id_rows(loaded, expected)
        fail(
            loaded.label,
            f"{what}: token {position} got {line_at(left, position)}, expected "
            f"{line_at(right, position)}",
            *side_by_side(left, right, position),
            cause=cause,
        )


def check_front(loaded: LoadedModel, answer: Answer) -> None:
    """Fail unless what came back begins with the ids that were given."""
    got = answer.rows[0][: len(answer.prompt_ids)]
    cause = "generate cuts, pads or heals the input ids"
    check_tokens(loaded, "returned prompt", got, answer.prompt_ids, cause)


def check_count(loaded: LoadedModel, answer: Answer, expected: int, what: str) -> None:
    """Fail unless exactly `expected` new tokens came back."""
    if len(answer.new) != expected:
        limits = (f"{name}={answer.settings.get(name)}" for name in _LIMITS)
        fail(
            loaded.label,
            f"{what}: got {len(answer.new)} new tokens, expected {expected}",
            f"  new tokens: {', '.join(id_rows(loaded, answer.new))}",
            cause=f"{' and '.join(limits)} end the answer elsewhere",
        )


def check_ends_at(loaded: LoadedModel, endless: Answer, ended: Answer, eos: int) -> None:
    """Fail unless the answer with this eos is the endless one up to its first such token."""
    expected = endless.new[: endless.new.index(eos) + 1]
    cause = f"eos {id_rows(loaded, [eos])[0]} does not end the answer, or changes it"
    check_tokens(loaded, "answer up to eos", ended.new, expected, cause)


def check_logits(loaded: LoadedModel, what: str, got: Any, expected: Any, cause: str) -> None:
    """Fail unless two vectors of logits are equal within `logit_bound`."""
    difference = float((got - expected).abs().max())
    bound = logit_bound(loaded.spec, expected)
    if not difference <= bound:  # so that NaN fails
        best = id_rows(loaded, [int(logits.argmax()) for logits in (got, expected)])
        fail(
            loaded.label,
            f"{what}: logits differ by {difference:.3f}, bound {bound:.3f}; likeliest got "
            f"{best[0]}, expected {best[1]}",
            cause=cause,
        )


def check_batch(loaded: LoadedModel, what: str, batch: Any, singles: Sequence[Any]) -> None:
    """Fail unless each row of a batch has the logits of its prompt alone, within the bound.

    Where the likeliest token leads by more than the bound it must be the same. Trained weights
    must know the answer to at least one of the prompts that well, or nothing was checked.
    """
    decided, cause = 0, "pads are read, or positions are counted with them"
    for number, (row, single) in enumerate(zip(batch, singles, strict=True)):
        name = f"{what}: prompt {number}"
        check_logits(loaded, name, row, single, cause)
        if lead(single) > logit_bound(loaded.spec, single):
            decided += 1
            check_tokens(loaded, name, [int(row.argmax())], [int(single.argmax())], cause)
    if loaded.weights.trained and not decided:
        leads = ", ".join(f"{lead(single):.2f}" for single in singles)
        fail(
            loaded.label,
            f"{what}: no prompt's first token leads by more than the bound (leads {leads}), "
            "expected one",
            cause="weights that know none of them",
        )


def check_hidden(loaded: LoadedModel, plain: Answer, hidden: Answer, read: Answer) -> None:
    """Fail unless a prefix under zeros of the mask has no effect.

    `plain` answers the prompt alone, `hidden` the prompt behind the hidden prefix, `read` behind
    the same prefix as text. With trained weights that one must differ, or nothing was checked.
    """
    cause = "the attention mask is not honoured"
    check_logits(loaded, "prefix hidden by the mask", hidden.logits, plain.logits, cause)
    for name, value in sorted(plain.settings.items()):
        if name != "max_length" and hidden.settings.get(name) != value:
            fail(
                loaded.label,
                f"with a hidden prefix {name} got {hidden.settings.get(name)}, expected {value}",
                cause="generate derives it from the mask",
            )
    difference = float((read.logits - plain.logits).abs().max())
    if loaded.weights.trained and difference <= logit_bound(loaded.spec, plain.logits):
        fail(
            loaded.label,
            f"a prefix that is read moves the logits by {difference:.3f} only, expected more than "
            "the bound",
            cause="the model does not attend",
        )

"""Judges what a model answered: which tokens, how many, and how near two sets of logits are."""

from collections.abc import Sequence
from typing import Any

from ..diff import first_difference, line_at, side_by_side
from ..errors import fail
from ..model.generation import Answer, decoded
from ..model.loading import LoadedModel
from ..model.logits import lead, logit_bound
from ..text import quote


def shown(loaded_model: LoadedModel, ids: Sequence[int]) -> list[str]:
    """`id 'piece'` of every id."""
    return [f"{token} {quote(decoded(loaded_model.tokenizer, [token]))}" for token in ids]


def check_tokens(
    loaded_model: LoadedModel, what: str, got: Sequence[int], expected: Sequence[int], cause: str
) -> None:
    """Fail unless two lists of ids are equal."""
    position = first_difference(list(got), list(expected))
    if position is not None:
        left, right = shown(loaded_model, got), shown(loaded_model, expected)
        fail(
            loaded_model.label,
            f"{what}: token {position} got {line_at(left, position)}, expected "
            f"{line_at(right, position)}",
            *side_by_side(left, right, position),
            cause=cause,
        )


def check_front(loaded_model: LoadedModel, answer: Answer) -> None:
    """Fail unless what came back begins with the ids that were given."""
    got = answer.rows[0][: len(answer.prompt_ids)]
    cause = "generate cuts, pads or heals the input ids"
    check_tokens(loaded_model, "returned prompt", got, answer.prompt_ids, cause)


def check_count(loaded_model: LoadedModel, answer: Answer, expected: int, what: str) -> None:
    """Fail unless so many new tokens came back."""
    if len(answer.new) != expected:
        fail(
            loaded_model.label,
            f"{what}: got {len(answer.new)} new tokens, expected {expected}",
            f"  new tokens: {', '.join(shown(loaded_model, answer.new))}",
            cause=(
                f"max_new_tokens={answer.settings.get('max_new_tokens')} and "
                f"eos_token_id={answer.settings.get('eos_token_id')} end the answer "
                "elsewhere"
            ),
        )


def check_ends_at(loaded_model: LoadedModel, endless: Answer, ended: Answer, eos: int) -> None:
    """Fail unless the answer with this eos is the endless one up to its first such token."""
    expected = endless.new[: endless.new.index(eos) + 1]
    cause = f"eos {shown(loaded_model, [eos])[0]} does not end the answer, or changes it"
    check_tokens(loaded_model, "answer up to eos", ended.new, expected, cause)


def check_logits(loaded_model: LoadedModel, what: str, got: Any, expected: Any, cause: str) -> None:
    """Fail unless two vectors of logits are equal within `logit_bound`."""
    difference, bound = (
        float((got - expected).abs().max()),
        logit_bound(loaded_model.spec, expected),
    )
    if not difference <= bound:  # so that NaN fails
        best = [shown(loaded_model, [int(logits.argmax())])[0] for logits in (got, expected)]
        fail(
            loaded_model.label,
            f"{what}: logits differ by {difference:.3f}, bound {bound:.3f}; likeliest got "
            f"{best[0]}, expected {best[1]}",
            cause=cause,
        )


def check_batch(loaded_model: LoadedModel, what: str, batch: Any, singles: Sequence[Any]) -> None:
    """Fail unless each row of a batch has the logits of its prompt alone, within the bound.

    Where the likeliest token leads by more than the bound it must be the same. Real weights
    must know the answer to at least one of the prompts that well, or nothing was checked.
    """
    decided, cause = 0, "pads are read, or positions are counted with them"
    for number, (row, single) in enumerate(zip(batch, singles, strict=True)):
        name = f"{what}: prompt {number}"
        check_logits(loaded_model, name, row, single, cause)
        if lead(single) > logit_bound(loaded_model.spec, single):
            decided += 1
            check_tokens(loaded_model, name, [int(row.argmax())], [int(single.argmax())], cause)
    if loaded_model.weights.trained and not decided:
        leads = ", ".join(f"{lead(single):.2f}" for single in singles)
        fail(
            loaded_model.label,
            f"{what}: no prompt's first token leads by more than the bound (leads "
            f"{leads}), expected one",
            cause="weights that know none of them",
        )


def check_hidden(loaded_model: LoadedModel, plain: Answer, hidden: Answer, read: Answer) -> None:
    """Fail unless a prefix under zeros of the mask changes nothing.

    `plain` answers the prompt alone, `hidden` the prompt behind the hidden prefix, `read` behind
    the same prefix as text. With real weights that one must differ, or the prefix shows nothing.
    """
    cause = "the attention mask is not honoured"
    check_logits(loaded_model, "prefix hidden by the mask", hidden.logits, plain.logits, cause)
    other = {name for name in plain.settings if plain.settings[name] != hidden.settings.get(name)}
    if other - {"max_length"}:
        name = min(other - {"max_length"})
        fail(
            loaded_model.label,
            f"with a hidden prefix {name} got {hidden.settings.get(name)}, expected "
            f"{plain.settings[name]}",
            cause="generate derives it from the mask",
        )
    difference = float((read.logits - plain.logits).abs().max())
    if loaded_model.weights.trained and difference <= logit_bound(loaded_model.spec, plain.logits):
        fail(
            loaded_model.label,
            f"a prefix that is read moves the logits by {difference:.3f} only, expected "
            "more than the bound",
            cause="the model does not attend",
        )

"""Judges the settings that a call of `generate` resolved to, and what it was given."""

from typing import Any

from ..data.recipes import read_recipe
from ..errors import fail
from ..model.generation import Answer, predict
from ..model.loading import LoadedModel
from .answers import check_tokens, shown

SAMPLING = ("do_sample", "temperature", "top_p")  # what a hub's generation_config.json may say


HUB: dict[str, Any] = {"do_sample": True, "temperature": 0.6, "top_p": 0.9}  # Llama-3.1's


GREEDY: dict[str, Any] = {"do_sample": False}


BUDGET = 4  # the task's; not taken from the call that is judged


def declared_sampling(key: str) -> dict[str, Any]:
    """How the model's pinned generation_config.json says to sample; greedy without one."""
    file = read_recipe(key).files.get("generation_config.json")
    content = file.content if file and isinstance(file.content, dict) else {}
    return GREEDY | {name: content[name] for name in SAMPLING if name in content}


def check_setting(
    loaded_model: LoadedModel, answer: Answer, name: str, expected: Any, cause: str
) -> None:
    """Fail unless a resolved setting is as expected."""
    if (got := answer.settings.get(name)) != expected:
        fail(
            loaded_model.label,
            f"{name} of the call got {got}, expected {expected}",
            *(f"  {row}" for row in settings_rows(answer)),
            cause=cause,
        )


def check_pad(loaded_model: LoadedModel, answer: Answer) -> None:
    """Fail unless pad is eos on purpose: in tokenizer and model, and so in the call."""
    eos = loaded_model.spec.tokenizer.eos
    assert eos is not None, f"{loaded_model.key}: the registry declares no eos"
    places = {
        "the tokenizer": loaded_model.tokenizer.pad_token_id,
        "model.generation_config": loaded_model.model.generation_config.pad_token_id,
        "the call": answer.settings.get("pad_token_id"),
    }
    for place, pad in places.items():
        if pad != eos:
            got = "none" if pad is None else shown(loaded_model, [pad])[0]
            fail(
                loaded_model.label,
                f"pad id of {place} got {got}, expected {shown(loaded_model, [eos])[0]} (eos)",
                cause="it is not set on purpose, and a default takes its place",
            )


def check_sampling(loaded_model: LoadedModel, answer: Answer, expected: dict[str, Any]) -> None:
    """Fail unless the call samples as told; if greedy, nothing may change the logits."""
    for name, value in expected.items():
        cause = "another value wins, of the call, the model's generation_config or transformers"
        check_setting(loaded_model, answer, name, value, cause)
    if expected["do_sample"]:
        return
    if answer.processors:
        fail(
            loaded_model.label,
            f"logits of a greedy call are changed by {', '.join(answer.processors)}, "
            "expected by nothing",
            cause="sampling fields are used without do_sample",
        )
    best = [int(answer.logits.argmax())]
    cause = "the likeliest token is not taken"
    check_tokens(loaded_model, "first token of a greedy call", answer.new[:1], best, cause)


def check_mask(loaded_model: LoadedModel, answer: Answer, hidden: int = 0) -> None:
    """Fail unless the mask passed is all ones, after as many zeros as ids in front are hidden."""
    expected = (0,) * hidden + (1,) * (len(answer.prompt_ids) - hidden)
    if answer.mask != expected:
        got = "none" if answer.mask is None else f"{sum(answer.mask)} ones of {len(answer.mask)}"
        fail(
            loaded_model.label,
            f"attention mask of the call got {got}, expected {sum(expected)} ones of "
            f"{len(expected)}",
            cause="the mask is dropped, and pads would be read as text",
        )


def check_rows(loaded_model: LoadedModel, answer: Answer) -> None:
    """Fail unless one sequence was asked for, and one came back."""
    cause = "the call asks for several answers"
    check_setting(loaded_model, answer, "num_return_sequences", 1, cause)
    if len(answer.rows) != 1:
        fail(
            loaded_model.label,
            f"num_return_sequences=1 got {len(answer.rows)} rows, expected 1",
            cause="generate expands the batch",
        )


def check_two_rows_refused(loaded_model: LoadedModel, prompt: str) -> None:
    """Fail unless two sequences of a greedy call are refused in words that name the setting."""
    try:
        answer = predict(
            loaded_model.model,
            loaded_model.tokenizer,
            prompt,
            do_sample=False,
            num_return_sequences=2,
        )
    except ValueError as error:
        if "num_return_sequences" in str(error):
            return
        raise
    fail(
        loaded_model.label,
        f"num_return_sequences=2 of a greedy call got {len(answer.rows)} rows, "
        "expected a ValueError",
        cause="transformers checks it no more (issue 28896)",
    )


def check_budget(loaded_model: LoadedModel, answer: Answer, budget: int = BUDGET) -> None:
    """Fail unless `budget` new tokens, and no other limit, end the call."""
    check_setting(loaded_model, answer, "max_new_tokens", budget, "the call has another budget")
    most = len(answer.prompt_ids) + budget
    check_setting(loaded_model, answer, "max_length", most, "an implicit max_length wins")
    limits = [name for name in answer.criteria if name != "EosTokenCriteria"]
    if limits != ["MaxLengthCriteria"]:
        fail(
            loaded_model.label,
            f"the call is ended by {', '.join(limits) or 'nothing'}, expected MaxLengthCriteria",
            cause="the model's settings stop on strings or time",
        )


def check_silence(loaded_model: LoadedModel, answer: Answer) -> None:
    """Fail if anything was said while the call ran."""
    if answer.messages:
        fail(
            loaded_model.label,
            f"the call said {answer.messages[0]!r:.300}, expected a silent one "
            f"({len(answer.messages)} messages)",
            *answer.messages[1:10],
        )


def settings_rows(answer: Answer) -> list[str]:
    """The resolved settings as `name value`, then what the loop obeys.

    The length is relative to the prompt. What is off is left out, `do_sample` excepted: versions
    of transformers differ in whether they write None or False.
    """
    own = answer.settings | {"do_sample": bool(answer.settings.get("do_sample"))}
    if "max_length" in own:
        own["max_length"] = f"prompt{own['max_length'] - len(answer.prompt_ids):+d}"
    rows = [
        f"{name} {value}"
        for name, value in sorted(own.items())
        if value is not False or name == "do_sample"
    ]
    return [
        *rows,
        f"processors: {', '.join(answer.processors) or 'none'}",
        f"criteria: {', '.join(answer.criteria) or 'none'}",
    ]

"""Checks of the settings that a call of `generate` resolved to, and of what it was given."""

from typing import Any

from ..data.recipes import read_recipe
from ..errors import fail
from ..model.generation import Answer, predict
from ..model.loading import LoadedModel
from .answers import check_tokens, id_rows

HUB: dict[str, Any] = {"do_sample": True, "temperature": 0.6, "top_p": 0.9}  # Llama-3.1's
GREEDY: dict[str, Any] = {"do_sample": False}

_SAMPLING = tuple(HUB)  # what a hub's generation_config.json may set
_BUDGET = 4  # the task's; not taken from the call that is judged


def declared_sampling(key: str) -> dict[str, Any]:
    """How the model's pinned generation_config.json samples; greedy without one."""
    file = read_recipe(key).files.get("generation_config.json")
    content = file.content if file and isinstance(file.content, dict) else {}
    return GREEDY | {name: content[name] for name in _SAMPLING if name in content}


def settings_rows(answer: Answer) -> list[str]:
    """The resolved settings as `name value`, then what the loop obeys.

    The length is relative to the prompt. What is off is left out, `do_sample` excepted: versions
    of transformers differ in whether they write None or False.
    """
    own = answer.settings | {"do_sample": bool(answer.settings.get("do_sample"))}
    if "max_length" in own:
        own["max_length"] = f"prompt{own['max_length'] - len(answer.prompt_ids):+d}"
    return [
        *(f"{n} {v}" for n, v in sorted(own.items()) if v is not False or n == "do_sample"),
        f"processors: {', '.join(answer.processors) or 'none'}",
        f"criteria: {', '.join(answer.criteria) or 'none'}",
    ]


def _check_setting(
    loaded: LoadedModel, answer: Answer, name: str, expected: Any, cause: str
) -> None:
    if (got := answer.settings.get(name)) != expected:
        rows = (f"  {row}" for row in settings_rows(answer))
        fail(loaded.label, f"{name} of the call got {got}, expected {expected}", *rows, cause=cause)


def check_pad(loaded: LoadedModel, answer: Answer) -> None:
    """Fail unless pad is eos on purpose: in tokenizer and model, and so in the call."""
    eos = loaded.spec.tokenizer.eos
    assert eos is not None, f"{loaded.key}: the registry declares no eos"
    pads = {
        "the tokenizer": loaded.tokenizer.pad_token_id,
        "model.generation_config": loaded.model.generation_config.pad_token_id,
        "the call": answer.settings.get("pad_token_id"),
    }
    for holder, pad in pads.items():
        if pad != eos:
            got = "none" if pad is None else id_rows(loaded, [pad])[0]
            fail(
                loaded.label,
                f"pad id of {holder} got {got}, expected {id_rows(loaded, [eos])[0]} (eos)",
                cause="it is not set on purpose, and a default takes its place",
            )


def check_sampling(loaded: LoadedModel, answer: Answer, expected: dict[str, Any]) -> None:
    """Fail unless the call samples as expected; if greedy, nothing may change the logits."""
    for name, value in expected.items():
        cause = "another value wins, of the call, the model's generation_config or transformers"
        _check_setting(loaded, answer, name, value, cause)
    if expected["do_sample"]:
        return
    if answer.processors:
        fail(
            loaded.label,
            f"logits of a greedy call are changed by {', '.join(answer.processors)}, "
            "expected by nothing",
            cause="sampling fields are used without do_sample",
        )
    best, cause = [int(answer.logits.argmax())], "the likeliest token is not taken"
    check_tokens(loaded, "first token of a greedy call", answer.new[:1], best, cause)


def check_mask(loaded: LoadedModel, answer: Answer, hidden: int = 0) -> None:
    """Fail unless the mask passed is all ones behind `hidden` zeros."""
    expected = (0,) * hidden + (1,) * (len(answer.prompt_ids) - hidden)
    if answer.mask != expected:
        got = "none" if answer.mask is None else f"{sum(answer.mask)} ones of {len(answer.mask)}"
        fail(
            loaded.label,
            f"attention mask of the call got {got}, expected {sum(expected)} ones of "
            f"{len(expected)}",
            cause="the mask is dropped, and pads would be read as text",
        )


def check_rows(loaded: LoadedModel, answer: Answer) -> None:
    """Fail unless the call wants one sequence, and one came back."""
    cause = "the call asks for several answers"
    _check_setting(loaded, answer, "num_return_sequences", 1, cause)
    if len(answer.rows) != 1:
        fail(
            loaded.label,
            f"num_return_sequences=1 got {len(answer.rows)} rows, expected 1",
            cause="generate expands the batch",
        )


def check_two_rows_refused(loaded: LoadedModel, prompt: str) -> None:
    """Fail unless two sequences of a greedy call are rejected with the setting's name."""
    call: dict[str, Any] = {"do_sample": False, "num_return_sequences": 2}
    try:
        answer = predict(loaded.model, loaded.tokenizer, prompt, **call)
    except ValueError as error:
        if "num_return_sequences" in str(error):
            return
        raise
    fail(
        loaded.label,
        f"num_return_sequences=2 of a greedy call got {len(answer.rows)} rows, "
        "expected a ValueError",
        cause="transformers no longer checks it (issue 28896)",
    )


def check_budget(loaded: LoadedModel, answer: Answer) -> None:
    """Fail unless four new tokens, and no other limit, end the call."""
    _check_setting(loaded, answer, "max_new_tokens", _BUDGET, "the call has another budget")
    most = len(answer.prompt_ids) + _BUDGET
    _check_setting(loaded, answer, "max_length", most, "an implicit max_length wins")
    limits = [name for name in answer.criteria if name != "EosTokenCriteria"]
    if limits != ["MaxLengthCriteria"]:
        fail(
            loaded.label,
            f"the call is ended by {', '.join(limits) or 'nothing'}, expected MaxLengthCriteria",
            cause="the model's settings stop on strings or time",
        )

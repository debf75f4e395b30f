"""Models with known answers, through the real path: every check gives the right verdict."""

import gc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.harness.checks import answers, prices
from tests.harness.checks import generation_settings as settings
from tests.harness.checks.memory import check_no_messages
from tests.harness.model.loading import LoadedModel, prepared_tokenizer
from tests.harness.model.logits import choices, next_token_logits
from tests.harness.snapshots.file import read_snapshot_file
from tests.meta.conftest import PROJECT
from tests.meta.support.scripted_models import (
    KEY,
    ONE,
    PREFIX,
    PROMPT,
    SCRIPTS,
    Check,
    answer_of,
    scripted_model,
    verdict,
)

LAMP = "lamp"
SNAPSHOT = PROJECT / "tests" / "quantized" / "__snapshots__" / f"{KEY}.generation.txt"


@pytest.fixture(scope="module")
def tokenizer(bundle: dict[str, Path]) -> Any:
    """Llama-3.1's own, as the task sets it."""
    tokenizer = prepared_tokenizer(bundle[KEY])
    gc.freeze()  # each load collects garbage: of the imported libraries there is none
    return tokenizer


@pytest.fixture(scope="module", params=SCRIPTS)
def script(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def loaded(
    script: str, tokenizer: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LoadedModel]:
    """Each scripted model, one in memory at a time."""
    with scripted_model(script, tokenizer, tmp_path_factory.mktemp("scripted")) as loaded:
        yield loaded


def check_four(loaded: LoadedModel) -> None:
    one, four = answer_of(loaded, **ONE), answer_of(loaded, do_sample=False)
    prices.check_first_of_four(loaded, LAMP, one, four)
    prices.check_same_price(loaded, LAMP, one, four)


CHECKS: dict[str, Check] = {
    "token": lambda model: prices.check_price_token(model, LAMP, answer_of(model, **ONE).logits),
    "mass": lambda model: prices.check_price_mass(model, LAMP, answer_of(model, **ONE).logits),
    "one": lambda model: prices.check_one_token_price(model, LAMP, answer_of(model, **ONE)),
    "four": check_four,
    "reading": lambda model: prices.check_reading(model, LAMP, answer_of(model)),
    "count": lambda model: answers.check_count(model, answer_of(model), 4, LAMP),
}
# The answer of each script, and the verdicts on it; a check without a verdict passes.
REPLIES = {
    "answers 374": "374.00<|end_of_text|>",
    "answers in words": " three hundred dollars<|end_of_text|>",
    "says $ again": " $ $ $ $",
    "ends at once": "<|end_of_text|>",
}
NO_MASS = "probability of a price token got 0.000, expected at least 0.5; "


def no_price(first: str) -> dict[str, str]:
    """The verdicts on an answer whose first token is no price."""
    return {
        "token": f"most likely after 'Price is $' got {first}, expected digits; ",
        "mass": NO_MASS,
        "one": f"one new token got {first}, expected a price; ",
    }


TOO_FEW = "got 1 new tokens, expected 4; likely cause: max_new_tokens=4 and "
VERDICTS: dict[str, dict[str, str]] = {
    "answers 374": {},
    "answers in words": no_price("2380 ' three'"),
    "says $ again": no_price("400 ' $'"),
    "ends at once": no_price("128001 '<|end_of_text|>'") | {"count": TOO_FEW},
}


def test_script_is_followed(script: str, loaded: LoadedModel) -> None:
    assert answer_of(loaded).reply == REPLIES[script]


@pytest.mark.parametrize("check", CHECKS)
def test_answer_is_judged_rightly(script: str, loaded: LoadedModel, check: str) -> None:
    expected = VERDICTS[script].get(check)
    line = verdict(CHECKS[check], loaded)
    if expected is None:
        assert not line
    else:
        start = f"{KEY}: cpu nf4, double {script!r}: {LAMP}: "
        assert line.startswith(start + expected)


def test_call_is_judged_sound(loaded: LoadedModel) -> None:
    answer = answer_of(loaded)
    settings.check_pad(loaded, answer)
    settings.check_mask(loaded, answer)
    settings.check_rows(loaded, answer)
    settings.check_budget(loaded, answer)
    settings.check_sampling(loaded, answer, settings.HUB)
    check_no_messages(loaded, "the call", answer.messages)
    settings.check_two_rows_refused(loaded, PROMPT)
    answers.check_front(loaded, answer)


def test_a_sure_model_leaves_sampling_no_choice(loaded: LoadedModel) -> None:
    assert choices(answer_of(loaded).logits, temperature=0.6, top_p=0.9) == 1


def test_eos_and_batches_are_judged_sound(loaded: LoadedModel) -> None:
    endless = answer_of(loaded, do_sample=False, eos_token_id=None)
    answers.check_count(loaded, endless, 4, "answer without eos")
    ended = answer_of(loaded, do_sample=False, eos_token_id=endless.new[1])
    answers.check_ends_at(loaded, endless, ended, endless.new[1])
    prompts = [PROMPT, PREFIX + PROMPT]
    singles = [answer_of(loaded, prompt, **ONE).logits for prompt in prompts]
    batch = next_token_logits(loaded.model, loaded.tokenizer, prompts)
    answers.check_batch(loaded, "batch", batch, singles)


def test_recorded_settings_are_what_this_machine_resolves(loaded: LoadedModel) -> None:
    """Llama-3.1's snapshot is made on a GPU; its settings do not depend on the weights."""
    rows = read_snapshot_file(SNAPSHOT).blocks["cuda-nf4"].split("\n")
    assert settings.settings_rows(answer_of(loaded)) == rows


def test_a_rerun_command_ends_the_message(
    loaded: LoadedModel, request: pytest.FixtureRequest
) -> None:
    longer = answer_of(loaded, max_new_tokens=5)
    call = pytest.CallInfo.from_call(lambda: settings.check_budget(loaded, longer), "call")
    report = request.node.ihook.pytest_runtest_makereport(item=request.node, call=call)
    last = report.failure["lines"][-1]
    assert last.startswith("rerun: pytest 'tests/meta/model/test_scripted_models")

"""Models with known answers, through the real path: each must be judged rightly."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.harness.checks import answers, prices
from tests.harness.checks import generation_settings as settings
from tests.harness.errors import ContractBroken
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
    Judge,
    ask,
    double,
    verdict,
)

LAMP = "lamp"
SNAPSHOT = PROJECT / "tests" / "quantized" / "__snapshots__" / f"{KEY}.generation.txt"


@pytest.fixture(scope="module")
def tokenizer(bundle: dict[str, Path]) -> Any:
    """Llama-3.1's own, as the task sets it."""
    return prepared_tokenizer(bundle[KEY])


@pytest.fixture(scope="module", params=SCRIPTS)
def script(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def live(
    script: str, tokenizer: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LoadedModel]:
    """Each scripted double in NF4, one in memory at a time."""
    with double(script, tokenizer, tmp_path_factory.mktemp("double")) as live:
        yield live


def judge_token(live: LoadedModel) -> None:
    prices.check_price_token(live, LAMP, ask(live, **ONE).logits)


def judge_mass(live: LoadedModel) -> None:
    prices.check_price_mass(live, LAMP, ask(live, **ONE).logits)


def judge_one(live: LoadedModel) -> None:
    prices.check_one_token_price(live, LAMP, ask(live, **ONE))


def judge_four(live: LoadedModel) -> None:
    one, four = ask(live, **ONE), ask(live, do_sample=False)
    prices.check_first_of_four(live, LAMP, one, four)
    prices.check_same_price(live, LAMP, one, four)


def judge_reading(live: LoadedModel) -> None:
    prices.check_reading(live, LAMP, ask(live))


def judge_count(live: LoadedModel) -> None:
    answers.check_count(live, ask(live), 4, LAMP)


JUDGES = (judge_token, judge_mass, judge_one, judge_four, judge_reading, judge_count)
# What each answers, and what must be said of it; a judge that is not named finds nothing wrong.
REPLIES = {
    "answers 374": "374.00<|end_of_text|>",
    "answers in words": " three hundred dollars<|end_of_text|>",
    "says $ again": " $ $ $ $",
    "ends at once": "<|end_of_text|>",
}
NO_MASS = "probability of a price token got 0.000, expected at least 0.5; "
VERDICTS: dict[str, dict[Judge, str]] = {
    "answers 374": {},
    "answers in words": {
        judge_token: "most likely after 'Price is $' got 2380 ' three', expected digits; ",
        judge_mass: NO_MASS,
        judge_one: "one new token got 2380 ' three', expected a price; ",
    },
    "says $ again": {
        judge_token: "most likely after 'Price is $' got 400 ' $', expected digits; ",
        judge_mass: NO_MASS,
        judge_one: "one new token got 400 ' $', expected a price; ",
    },
    "ends at once": {
        judge_token: "most likely after 'Price is $' got 128001 '<|end_of_text|>', expected digits",
        judge_mass: NO_MASS,
        judge_one: "one new token got 128001 '<|end_of_text|>', expected a price; ",
        judge_count: "got 1 new tokens, expected 4; likely cause: max_new_tokens=4 and ",
    },
}


def test_script_is_followed(script: str, live: LoadedModel) -> None:
    assert ask(live).reply == REPLIES[script]


@pytest.mark.parametrize("judge", JUDGES, ids=lambda judge: judge.__name__.removeprefix("judge_"))
def test_answer_is_judged_rightly(script: str, live: LoadedModel, judge: Judge) -> None:
    expected = VERDICTS[script].get(judge)
    line = verdict(judge, live)
    if expected is None:
        assert not line
    else:
        start = f"{KEY}: cpu nf4, double {script!r}: {LAMP}: "
        assert line.startswith(start + expected)


def test_call_is_judged_sound(live: LoadedModel) -> None:
    answer = ask(live)
    settings.check_pad(live, answer)
    settings.check_mask(live, answer)
    settings.check_rows(live, answer)
    settings.check_budget(live, answer)
    settings.check_sampling(live, answer, settings.HUB)
    settings.check_silence(live, answer)
    settings.check_two_rows_refused(live, PROMPT)
    answers.check_front(live, answer)


def test_a_sure_model_leaves_sampling_no_choice(live: LoadedModel) -> None:
    assert choices(ask(live).logits, temperature=0.6, top_p=0.9) == 1


def test_eos_and_batches_are_judged_sound(live: LoadedModel) -> None:
    endless = ask(live, do_sample=False, eos_token_id=None)
    answers.check_count(live, endless, 4, "answer without eos")
    ended = ask(live, do_sample=False, eos_token_id=endless.new[1])
    answers.check_ends_at(live, endless, ended, endless.new[1])
    prompts = [PROMPT, PREFIX + PROMPT]
    singles = [ask(live, prompt, **ONE).logits for prompt in prompts]
    batch = next_token_logits(live.model, live.tokenizer, prompts)
    answers.check_batch(live, "batch", batch, singles)


def test_recorded_settings_are_what_this_machine_resolves(live: LoadedModel) -> None:
    """Llama-3.1's recording is made on a GPU; its settings do not depend on the weights."""
    rows = read_snapshot_file(SNAPSHOT).blocks["cuda-nf4"].split("\n")
    assert settings.settings_rows(ask(live)) == rows


def test_a_rerun_command_ends_the_message(live: LoadedModel) -> None:
    with pytest.raises(ContractBroken) as failure:
        settings.check_budget(live, ask(live, max_new_tokens=5))
    assert (
        str(failure.value)
        .splitlines()[-1]
        .startswith("rerun: pytest 'tests/meta/model/test_scripted_models")
    )

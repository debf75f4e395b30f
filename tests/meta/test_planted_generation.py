"""Faults planted in the call, its reading and its mask: each is named by a failure's first line."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.harness import answer_verdicts as answers
from tests.harness import price_verdicts as prices
from tests.harness import settings_verdicts as settings
from tests.harness.generation import decoded
from tests.harness.live import Live, prepared_tokenizer
from tests.harness.logits import next_token_logits
from tests.harness.prices import NUMBER

from .doubles import ATTENDS, KEY, ONE, PREFIX, PROMPT, Judge, ask, double, verdict


@pytest.fixture(scope="module")
def live(bundle: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A double of random values, in NF4: what it answers depends on all it reads."""
    tokenizer = prepared_tokenizer(bundle[KEY])
    with double(ATTENDS, tokenizer, tmp_path_factory.mktemp("double")) as live:
        yield live


def pad_unset(live: Live) -> None:
    live.model.generation_config.pad_token_id = None
    try:
        settings.check_pad(live, ask(live))
    finally:
        live.model.generation_config.pad_token_id = live.tokenizer.eos_token_id


def pad_of_another_token(live: Live) -> None:
    settings.check_pad(live, ask(live, pad_token_id=128009))


def two_rows(live: Live) -> None:
    settings.check_rows(live, ask(live, num_return_sequences=2))


def sampling_switched_on(live: Live) -> None:
    settings.check_sampling(live, ask(live, do_sample=True), settings.GREEDY)


def sampling_switched_off(live: Live) -> None:
    settings.check_sampling(live, ask(live, do_sample=False), settings.HUB)


def sampling_warmer(live: Live) -> None:
    settings.check_sampling(live, ask(live, temperature=1.0), settings.HUB)


def greedy_with_a_penalty(live: Live) -> None:
    answer = ask(live, do_sample=False, repetition_penalty=1.3)
    settings.check_sampling(live, answer, settings.GREEDY)


def five_tokens(live: Live) -> None:
    settings.check_budget(live, ask(live, max_new_tokens=5))


def implicit_max_length(live: Live) -> None:
    settings.check_budget(live, ask(live, max_new_tokens=None))


def limit_of_time(live: Live) -> None:
    settings.check_budget(live, ask(live, max_time=60.0))


def two_limits(live: Live) -> None:
    settings.check_silence(live, ask(live, max_length=400))


def mask_dropped(live: Live) -> None:
    settings.check_mask(live, ask(live, attention_mask=None))


def mask_not_honoured(live: Live) -> None:
    front = live.tokenizer.encode(PREFIX)
    hidden = ask(live, front=front, attention_mask=None, **ONE)
    answers.check_hidden(live, ask(live, **ONE), hidden, ask(live, PREFIX + PROMPT, **ONE))


def pads_read_in_a_batch(live: Live) -> None:
    prompts = [PROMPT, PREFIX + PROMPT]
    pads = live.tokenizer.eos_token * len(live.tokenizer.encode(PREFIX))
    batch = next_token_logits(live.model, live.tokenizer, [pads + PROMPT, prompts[1]])
    singles = [ask(live, prompt, **ONE).logits for prompt in prompts]
    answers.check_batch(live, "batch", batch, singles)


def prompt_cut(live: Live) -> None:
    answer = ask(live)
    shorter = replace(answer, rows=(answer.rows[0][1:],))
    answers.check_front(live, shorter)


def prompt_echoed_into_the_reply(live: Live) -> None:
    answer = ask(live)
    prices.check_reading(live, "lamp", replace(answer, reply=decoded(live.tokenizer, *answer.rows)))


def prompt_echoed_into_the_price(live: Live) -> None:
    def first_number(text: str) -> float | None:
        found = NUMBER.search(text)
        return float(found[0]) if found else None

    prices.check_reading(live, "lamp", ask(live), first_number)


FAULTS: dict[Judge, str] = {
    pad_unset: "pad id of model.generation_config got none, expected 128001 '<|end_of_text|>'",
    pad_of_another_token: "pad id of the call got 128009 '<|eot_id|>', expected 128001 ",
    two_rows: "num_return_sequences of the call got 2, expected 1; ",
    sampling_switched_on: "do_sample of the call got True, expected False; ",
    sampling_switched_off: "do_sample of the call got False, expected True; ",
    sampling_warmer: "temperature of the call got 1.0, expected 0.6; ",
    greedy_with_a_penalty: "logits of a greedy call are changed by RepetitionPenalty",
    five_tokens: "max_new_tokens of the call got 5, expected 4; ",
    implicit_max_length: "max_new_tokens of the call got None, expected 4; ",
    limit_of_time: "the call is ended by MaxLengthCriteria, MaxTimeCriteria, expected MaxLength",
    two_limits: "the call said 'log transformers",
    mask_dropped: "attention mask of the call got none, expected ",
    mask_not_honoured: "prefix hidden by the mask: logits differ by ",
    pads_read_in_a_batch: "batch: prompt 0: logits differ by ",
    prompt_cut: "returned prompt: token 0 got 4438 'How', expected 128000 '<|begin_of_text|>'; ",
    prompt_echoed_into_the_reply: "lamp: reply got '<|begin_of_text|>How much does this cost",
    prompt_echoed_into_the_price: "lamp: price of the reply alone got None, behind the prompt 12.0",
}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_fault_is_named(live: Live, fault: Judge) -> None:
    assert verdict(fault, live).startswith(f"{KEY}: cpu nf4, double 'attends': {FAULTS[fault]}")


def test_hidden_prefix_is_judged_sound(live: Live) -> None:
    front = live.tokenizer.encode(PREFIX)
    hidden = ask(live, front=front, **ONE)
    settings.check_mask(live, hidden, len(front))
    answers.check_hidden(live, ask(live, **ONE), hidden, ask(live, PREFIX + PROMPT, **ONE))


def test_a_rerun_command_ends_the_message(live: Live) -> None:
    with pytest.raises(pytest.fail.Exception) as failure:
        five_tokens(live)
    assert str(failure.value).splitlines()[-1].startswith("rerun: pytest 'tests/meta/test_planted")

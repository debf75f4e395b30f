"""The task's own call: its settings and its tokens, whatever the weights answer."""

import pytest

from tests.harness import answer_verdicts as answers
from tests.harness import settings_verdicts as settings
from tests.harness.afresh import ask_afresh
from tests.harness.asking import Ask
from tests.harness.diagnosis import fail
from tests.harness.generation import predict
from tests.harness.live import Live
from tests.harness.logits import choices, next_token_logits
from tests.harness.price_prompts import price_prompt, read_products

pytestmark = pytest.mark.loads("nf4")

PRODUCTS = sorted(read_products(), key=lambda product: len(product.text))
PROMPTS = [price_prompt(product.text) for product in PRODUCTS[:2]]  # short texts: quick
PROMPT = PROMPTS[0]
COUNTING = ", ".join(map(str, range(1, 21))) + ","  # every trained model knows how this goes on
PREFIX = "Yesterday it was free of charge. Price is $0.\n\n"
SEEDS = range(43, 51)  # other than the task's


def test_pad_is_eos_on_purpose(live: Live, ask: Ask) -> None:
    settings.check_pad(live, ask(PROMPT))


def test_attention_mask_is_passed(live: Live, ask: Ask) -> None:
    settings.check_mask(live, ask(PROMPT))


def test_one_row_comes_back(live: Live, ask: Ask) -> None:
    settings.check_rows(live, ask(PROMPT))


def test_two_rows_of_a_greedy_call_are_refused(live: Live) -> None:
    settings.check_two_rows_refused(live, PROMPT)


def test_input_ids_come_back_in_front(live: Live, ask: Ask) -> None:
    answers.check_front(live, ask(PROMPT))


def test_budget_is_the_only_limit(live: Live, ask: Ask) -> None:
    settings.check_budget(live, ask(PROMPT))


def test_sampling_is_the_models_own(live: Live, ask: Ask) -> None:
    settings.check_sampling(live, ask(PROMPT), settings.declared_sampling(live.key))


@pytest.mark.loads("nf4", "bf16")  # int8 says on every step that it casts its inputs
def test_nothing_is_said(live: Live, ask: Ask) -> None:
    settings.check_silence(live, ask(PROMPT))


def test_four_tokens_without_eos(live: Live, ask: Ask) -> None:
    endless = ask(PROMPT, do_sample=False, eos_token_id=None)
    answers.check_count(live, endless, 4, "answer without eos")


def test_eos_ends_the_answer_early(live: Live, ask: Ask) -> None:
    """The second token of the endless answer is declared to be eos."""
    endless = ask(PROMPT, do_sample=False, eos_token_id=None)
    eos = endless.new[1]
    ended = ask(PROMPT, do_sample=False, eos_token_id=eos)
    answers.check_ends_at(live, endless, ended, eos)


def test_greedy_ignores_sampling_fields(live: Live, ask: Ask) -> None:
    plain = ask(PROMPT, do_sample=False)
    odd = ask(PROMPT, do_sample=False, temperature=0.1, top_p=0.5, top_k=3)
    for answer in (plain, odd):
        settings.check_sampling(live, answer, settings.GREEDY)
    cause = "sampling fields are used without do_sample"
    answers.check_tokens(live, "greedy answer with sampling fields", odd.new, plain.new, cause)


def test_sampling_repeats_under_its_seed(live: Live, ask: Ask) -> None:
    first = ask(PROMPT, **settings.HUB)
    settings.check_sampling(live, first, settings.HUB)
    again = predict(live.model, live.tokenizer, PROMPT, **settings.HUB)
    cause = "the seed does not reach the sampler"
    answers.check_tokens(live, "sampled answer, seed 42 again", again.new, first.new, cause)


def test_sampling_differs_under_other_seeds(live: Live, ask: Ask) -> None:
    """Where there is a choice: a model that is sure answers the same under every seed."""
    first = ask(PROMPT, **settings.HUB)
    number = choices(first.logits, settings.HUB["temperature"], settings.HUB["top_p"])
    others = (ask(PROMPT, seed=seed, **settings.HUB) for seed in SEEDS)
    if number > 1 and all(other.new == first.new for other in others):
        fail(
            f"{live.title}: sampled answer, seeds 42 to {SEEDS[-1]}: all got "
            f"{', '.join(answers.shown(live, first.new))}, expected others too, with {number} "
            "first tokens to choose from; likely cause: the seed is set inside generate"
        )


def test_hidden_prefix_changes_nothing_but_the_mask(live: Live, ask: Ask) -> None:
    front = tuple(live.tokenizer.encode(PREFIX))
    call = {"do_sample": False, "max_new_tokens": 1}
    hidden = ask(PROMPT, front=front, **call)
    settings.check_mask(live, hidden, len(front))
    answers.check_front(live, hidden)
    answers.check_hidden(live, ask(PROMPT, **call), hidden, ask(PREFIX + PROMPT, **call))


def test_greedy_answers_repeat(live: Live, ask: Ask) -> None:
    for prompt in PROMPTS:
        again = predict(live.model, live.tokenizer, prompt, do_sample=False)
        first, cause = ask(prompt, do_sample=False), "an operation is not deterministic"
        answers.check_tokens(live, "the same question again", again.new, first.new, cause)


def test_greedy_answers_repeat_in_a_new_process(live: Live, ask: Ask) -> None:
    (new,) = ask_afresh(live, [PROMPT], do_sample=False)
    first, cause = ask(PROMPT, do_sample=False), "loading or computing is not deterministic"
    answers.check_tokens(live, "the same question in a new process", new, first.new, cause)


@pytest.mark.parametrize("side", ["left", "right"])
def test_padded_batch_is_the_singles(live: Live, side: str, ask: Ask) -> None:
    prompts = [*PROMPTS, COUNTING]
    singles = [ask(prompt, do_sample=False, max_new_tokens=1).logits for prompt in prompts]
    batch = next_token_logits(live.model, live.tokenizer, prompts, side)
    answers.check_batch(live, f"padded on the {side}", batch, singles)

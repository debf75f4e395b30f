"""The task's own call: its settings and its tokens, whatever the weights answer."""

import pytest

from tests.harness.checks import answers
from tests.harness.checks import generation_settings as settings
from tests.harness.checks.memory import check_no_messages
from tests.harness.errors import fail
from tests.harness.model.generation import predict
from tests.harness.model.loading import LoadedModel
from tests.harness.model.logits import choices, next_token_logits
from tests.harness.model.second_load import Reloaded
from tests.harness.plugins.models import Generate
from tests.harness.prices.products import by_length, price_prompt

pytestmark = pytest.mark.loads("nf4")

PROMPTS = [price_prompt(product.text) for product in by_length()[:2]]  # short texts: quick
PROMPT = PROMPTS[0]
COUNTING = ", ".join(map(str, range(1, 21))) + ","  # every trained model knows how this goes on
PREFIX = "Yesterday it was free of charge. Price is $0.\n\n"
SEEDS = range(43, 51)  # other than the task's


def test_pad_is_eos_on_purpose(loaded_model: LoadedModel, generate: Generate) -> None:
    settings.check_pad(loaded_model, generate(PROMPT))


def test_attention_mask_is_passed(loaded_model: LoadedModel, generate: Generate) -> None:
    settings.check_mask(loaded_model, generate(PROMPT))


def test_one_sequence_comes_back(loaded_model: LoadedModel, generate: Generate) -> None:
    settings.check_rows(loaded_model, generate(PROMPT))


def test_greedy_call_rejects_two_sequences(loaded_model: LoadedModel) -> None:
    settings.check_two_rows_refused(loaded_model, PROMPT)


def test_output_begins_with_input_ids(loaded_model: LoadedModel, generate: Generate) -> None:
    answers.check_front(loaded_model, generate(PROMPT))


def test_budget_is_the_only_limit(loaded_model: LoadedModel, generate: Generate) -> None:
    settings.check_budget(loaded_model, generate(PROMPT))


def test_sampling_matches_generation_config(loaded_model: LoadedModel, generate: Generate) -> None:
    declared = settings.declared_sampling(loaded_model.key)
    settings.check_sampling(loaded_model, generate(PROMPT), declared)


@pytest.mark.loads("nf4", "bf16")  # int8 warns on every step that it casts its inputs
def test_no_warnings(loaded_model: LoadedModel, generate: Generate) -> None:
    check_no_messages(loaded_model, "the call", generate(PROMPT).messages)


def test_four_tokens_without_eos(loaded_model: LoadedModel, generate: Generate) -> None:
    endless = generate(PROMPT, do_sample=False, eos_token_id=None)
    answers.check_count(loaded_model, endless, 4, "answer without eos")


def test_eos_ends_the_answer_early(loaded_model: LoadedModel, generate: Generate) -> None:
    """The second token of the endless answer is declared to be eos."""
    endless = generate(PROMPT, do_sample=False, eos_token_id=None)
    eos = endless.new[1]
    ended = generate(PROMPT, do_sample=False, eos_token_id=eos)
    answers.check_ends_at(loaded_model, endless, ended, eos)


def test_greedy_ignores_sampling_fields(loaded_model: LoadedModel, generate: Generate) -> None:
    plain = generate(PROMPT, do_sample=False)
    odd = generate(PROMPT, do_sample=False, temperature=0.1, top_p=0.5, top_k=3)
    for answer in (plain, odd):
        settings.check_sampling(loaded_model, answer, settings.GREEDY)
    what, cause = "greedy answer with sampling fields", "they are used without do_sample"
    answers.check_tokens(loaded_model, what, odd.new, plain.new, cause)


def test_sampling_repeats_under_its_seed(loaded_model: LoadedModel, generate: Generate) -> None:
    first = generate(PROMPT, **settings.HUB)
    settings.check_sampling(loaded_model, first, settings.HUB)
    again = predict(loaded_model.model, loaded_model.tokenizer, PROMPT, **settings.HUB)
    cause = "the seed does not reach the sampler"
    answers.check_tokens(loaded_model, "sampled answer, seed 42 again", again.new, first.new, cause)


def test_sampling_differs_under_other_seeds(loaded_model: LoadedModel, generate: Generate) -> None:
    """Where there is a choice: a model that is sure answers the same under every seed."""
    first = generate(PROMPT, **settings.HUB)
    number = choices(first.logits, settings.HUB["temperature"], settings.HUB["top_p"])
    others = (generate(PROMPT, seed=seed, **settings.HUB) for seed in SEEDS)
    if number > 1 and all(other.new == first.new for other in others):
        fail(
            loaded_model.label,
            f"sampled answer, seeds 42 to {SEEDS[-1]}: all got "
            f"{', '.join(answers.id_rows(loaded_model, first.new))}, expected others too, with "
            f"{number} first tokens to choose from",
            cause="the seed is set inside generate",
        )


def test_masked_prefix_has_no_effect(loaded_model: LoadedModel, generate: Generate) -> None:
    front = tuple(loaded_model.tokenizer.encode(PREFIX))
    call = {"do_sample": False, "max_new_tokens": 1}
    plain, read = generate(PROMPT, **call), generate(PREFIX + PROMPT, **call)
    hidden = generate(PROMPT, front=front, **call)
    settings.check_mask(loaded_model, hidden, len(front))
    answers.check_front(loaded_model, hidden)
    answers.check_hidden(loaded_model, plain, hidden, read)


def test_greedy_answers_repeat(loaded_model: LoadedModel, generate: Generate) -> None:
    for prompt in PROMPTS:
        again = predict(loaded_model.model, loaded_model.tokenizer, prompt, do_sample=False)
        first, cause = generate(prompt, do_sample=False), "an operation is not deterministic"
        answers.check_tokens(loaded_model, "the same question again", again.new, first.new, cause)


def test_greedy_answers_repeat_in_a_new_process(
    loaded_model: LoadedModel, generate: Generate, second_load: Reloaded
) -> None:
    new, first = second_load.answer, generate(PROMPT, do_sample=False)
    cause = "loading or computing is not deterministic"
    answers.check_tokens(loaded_model, "the same question in a new process", new, first.new, cause)


@pytest.mark.parametrize("side", ["left", "right"])
def test_padded_batch_equals_single_calls(
    loaded_model: LoadedModel, side: str, generate: Generate
) -> None:
    prompts = [*PROMPTS, COUNTING]
    singles = [generate(prompt, do_sample=False, max_new_tokens=1).logits for prompt in prompts]
    batch = next_token_logits(loaded_model.model, loaded_model.tokenizer, prompts, side)
    answers.check_batch(loaded_model, f"padded on the {side}", batch, singles)

"""What training sees: where an answer begins in ids, and which tokens keep their label."""

import pytest

from tests.harness.checks import labels
from tests.harness.data.cases import ChatCase
from tests.harness.tokenizer.loaded import LoadedTokenizer


def test_prompt_ids_begin_the_conversation(tokenizer: LoadedTokenizer, answered: ChatCase) -> None:
    labels.check_prompt_is_prefix(tokenizer, answered)


def test_prompt_ids_begin_the_text_with_its_price(tokenizer: LoadedTokenizer) -> None:
    labels.check_price_is_behind_prompt(tokenizer)


@pytest.mark.needs("chat")
def test_default_chat_call_gives_a_mapping(tokenizer: LoadedTokenizer) -> None:
    labels.check_default_chat_call(tokenizer)


@pytest.mark.parametrize("collator", labels.COLLATORS)
def test_collator_keeps_the_labels(tokenizer: LoadedTokenizer, collator: str) -> None:
    labels.check_collator(tokenizer, collator, of_eos=False)


@pytest.mark.parametrize("collator", labels.COLLATORS)
def test_collator_keeps_the_label_of_eos(tokenizer: LoadedTokenizer, collator: str) -> None:
    labels.check_collator(tokenizer, collator, of_eos=True)


@pytest.mark.needs("chat")
@pytest.mark.parametrize("marked", labels.MARKED)
def test_assistant_mask_is_the_answers(tokenizer: LoadedTokenizer, marked: str) -> None:
    labels.check_assistant_mask(tokenizer, marked)


@pytest.mark.needs("single_token_prices")
def test_training_cut_keeps_bos_price_and_eos(tokenizer: LoadedTokenizer) -> None:
    for beyond in range(4):
        labels.check_training_cut(tokenizer, beyond)

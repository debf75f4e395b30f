"""Batches, padding and truncation: whatever is added or cut, the ids that stay are the same."""

import pytest

from tests.harness.checks.tokenizer import check_ids, check_value
from tests.harness.data.cases import texts
from tests.harness.tokenizer.loaded import LoadedTokenizer

SENTENCE = "plain.task_sentence"


def test_batch_equals_single_calls(tokenizer: LoadedTokenizer) -> None:
    batch = list(texts().values())
    together = tokenizer.transformers([text.full_text for text in batch])["input_ids"]
    assert len(together) == len(batch)
    what = "ids in a batch are not those alone"
    for text, ids in zip(batch, together, strict=True):
        check_ids(tokenizer, text.name, what, ids, tokenizer.ids(text))


@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_keeps_the_ids(tokenizer: LoadedTokenizer, side: str) -> None:
    """Pad = eos where the model has no pad token, as the task sets it."""
    text, ids = texts()[SENTENCE].full_text, tokenizer.ids(texts()[SENTENCE])
    pad_token = tokenizer.transformers.pad_token or tokenizer.transformers.eos_token
    with tokenizer.changed(pad_token=pad_token, padding_side=side):
        padded = tokenizer.transformers(text, padding="max_length", max_length=len(ids) + 3)
        pads = [tokenizer.transformers.pad_token_id] * 3
    expected = pads + ids if side == "left" else ids + pads
    check_ids(tokenizer, SENTENCE, f"padded on the {side}", padded["input_ids"], expected)
    mask = [0] * 3 + [1] * len(ids) if side == "left" else [1] * len(ids) + [0] * 3
    got = list(padded.get("attention_mask", []))
    check_value(tokenizer, f"attention mask padded on the {side}", got, mask)


@pytest.mark.parametrize("side", ["left", "right"])
def test_padded_batch_equals_single_calls(tokenizer: LoadedTokenizer, side: str) -> None:
    """A short and a long text keep their ids, and the mask hides the pads."""
    cases = [texts()[name] for name in ("plain.single_letter", SENTENCE)]
    pad_token = tokenizer.transformers.pad_token or tokenizer.transformers.eos_token
    with tokenizer.changed(pad_token=pad_token, padding_side=side):
        batch = tokenizer.transformers([case.full_text for case in cases], padding=True)
        pad = tokenizer.transformers.pad_token_id
    for text, ids, mask in zip(cases, batch["input_ids"], batch["attention_mask"], strict=True):
        own = tokenizer.ids(text)
        pads = [pad] * (len(tokenizer.ids(cases[1])) - len(own))
        expected = pads + own if side == "left" else own + pads
        zeros, ones = [0] * len(pads), [1] * len(own)
        hidden = zeros + ones if side == "left" else ones + zeros
        check_ids(tokenizer, text.name, f"in a batch padded on the {side}", ids, expected)
        what = f"attention mask of a batch padded on the {side}"
        check_value(tokenizer, what, list(mask), hidden)


@pytest.mark.parametrize("side", ["left", "right"])
def test_truncation_keeps_the_ids(tokenizer: LoadedTokenizer, side: str) -> None:
    """BOS is kept on both sides; of the text, the end or the beginning."""
    text = texts()[SENTENCE].full_text
    plain, room = tokenizer.plain_ids(texts()[SENTENCE]), 6 - len(tokenizer.whole([]))
    with tokenizer.changed(truncation_side=side):
        cut = tokenizer.transformers(text, truncation=True, max_length=6)["input_ids"]
    expected = tokenizer.whole(plain[-room:] if side == "left" else plain[:room])
    check_ids(tokenizer, SENTENCE, f"truncated on the {side}", cut, expected)

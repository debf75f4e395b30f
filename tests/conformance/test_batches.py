"""Batches, padding and truncation: whatever is added or cut, the promised ids stay."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.harness.cases import texts
from tests.harness.diagnosis import check_ids, check_value
from tests.harness.loading import Loaded

SENTENCE = "plain.task_sentence"


@contextmanager
def settings(model: Loaded, **changes: object) -> Iterator[None]:
    """Set attributes of the shared tokenizer and put them back."""
    before = {name: getattr(model.auto, name) for name in changes}
    try:
        for name, value in changes.items():
            setattr(model.auto, name, value)
        yield
    finally:
        for name, value in before.items():
            setattr(model.auto, name, value)


def test_batch_is_the_singles(model: Loaded) -> None:
    batch = list(texts().values())
    together = model.auto([text.full_text for text in batch])["input_ids"]
    assert len(together) == len(batch)
    for text, ids in zip(batch, together, strict=True):
        check_ids(model, text.name, "ids in a batch are not those alone", ids, model.ids(text))


@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_keeps_the_ids(model: Loaded, side: str) -> None:
    """Pad = eos where the model has no pad token, as the task sets it."""
    text, ids = texts()[SENTENCE].full_text, model.ids(texts()[SENTENCE])
    pad_token = model.auto.pad_token or model.auto.eos_token
    with settings(model, pad_token=pad_token, padding_side=side):
        padded = model.auto(text, padding="max_length", max_length=len(ids) + 3)
        pads = [model.auto.pad_token_id] * 3
    expected = pads + ids if side == "left" else ids + pads
    check_ids(model, SENTENCE, f"padded on the {side}", padded["input_ids"], expected)
    mask = [0] * 3 + [1] * len(ids) if side == "left" else [1] * len(ids) + [0] * 3
    check_value(
        model, f"attention mask padded on the {side}", list(padded.get("attention_mask", [])), mask
    )


@pytest.mark.parametrize("side", ["left", "right"])
def test_padded_batch_is_the_singles(model: Loaded, side: str) -> None:
    """Of a short and a long text, each keeps its ids, and the mask hides what was added."""
    cases = [texts()[name] for name in ("plain.single_letter", SENTENCE)]
    pad_token = model.auto.pad_token or model.auto.eos_token
    with settings(model, pad_token=pad_token, padding_side=side):
        batch = model.auto([case.full_text for case in cases], padding=True)
        pad = model.auto.pad_token_id
    for text, ids, mask in zip(cases, batch["input_ids"], batch["attention_mask"], strict=True):
        own = model.ids(text)
        pads = [pad] * (len(model.ids(cases[1])) - len(own))
        zeros, ones = [0] * len(pads), [1] * len(own)
        expected, hidden = (
            (pads + own, zeros + ones) if side == "left" else (own + pads, ones + zeros)
        )
        check_ids(model, text.name, f"in a batch padded on the {side}", ids, expected)
        check_value(model, f"attention mask of a batch padded on the {side}", list(mask), hidden)


@pytest.mark.parametrize("side", ["left", "right"])
def test_truncation_keeps_the_ids(model: Loaded, side: str) -> None:
    """BOS is kept on both sides; of the text, the end or the beginning."""
    text, ids = texts()[SENTENCE].full_text, model.ids(texts()[SENTENCE])
    bos = ids[:1] if model.model.can("bos") else []
    plain, room = ids[len(bos) :], 6 - len(bos)
    with settings(model, truncation_side=side):
        cut = model.auto(text, truncation=True, max_length=6)["input_ids"]
    expected = bos + (plain[-room:] if side == "left" else plain[:room])
    check_ids(model, SENTENCE, f"truncated on the {side}", cut, expected)

"""Batched scoring on SmolLM2's real weights: the one-by-one answers, and memory that runs out."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.harness.batches.answers import (
    Batch,
    answer_batches,
    batch_answer,
    last_logits,
    make_batches,
)
from tests.harness.batches.fused_norms import fused_norms, rms_norms
from tests.harness.batches.parity import compare, parity_failure
from tests.harness.data.registry import registry
from tests.harness.model.loading import ModelSlot, prepared_tokenizer
from tests.harness.model.logits import logit_bound
from tests.harness.prices.products import price_prompt, read_products
from tests.harness.sources.weights import prepare_weights

FACTS = registry()["smollm2"]
PRODUCTS = [product for product in read_products() if len(product.description) < 250][:4]


@pytest.fixture(scope="module")
def slot(bundle: dict[str, Path]) -> Iterator[ModelSlot]:
    """The model in memory, bf16."""
    slot, folder = ModelSlot(), bundle["smollm2"]
    weights = prepare_weights(FACTS, "cpu", "auto", folder, print)
    slot.load(FACTS, "cpu", "bf16", weights, prepared_tokenizer(folder))
    yield slot
    slot.unload()


# Prompts whose next token a small model is sure of: what price it names is often a tie.
SURE = (
    "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15,",
    "Monday, Tuesday, Wednesday, Thursday, Friday, Saturday, Sunday, Monday, Tuesday,",
    "a b c d e f g h i j k l m n o p q r s t",
)


def encoded(slot: ModelSlot, products: int = 4) -> tuple[Any, dict[int, str], tuple[Batch, ...]]:
    """Tokenizer, texts by number, and all of them in one padded batch."""
    assert slot.loaded_model is not None
    tokenizer = slot.loaded_model.tokenizer
    prompts = [price_prompt(product.text) for product in PRODUCTS[:products]]
    texts = dict(enumerate([*SURE, *prompts]))
    ids = {number: tokenizer.encode(text) for number, text in texts.items()}
    made = make_batches(ids, 100_000, tokenizer.pad_token_id)
    assert len(made) == 1 and made[0].mask is not None
    return tokenizer, texts, made


def answers(answer: Any, made: tuple[Batch, ...], limit: int = 100_000) -> dict[int, list[int]]:
    """New tokens by row number."""
    tokens: dict[int, list[int]] = {}
    answer_batches(
        answer,
        made,
        limit,
        lambda batch, rows: tokens.update(zip(batch.numbers, rows, strict=True)),
    )
    return tokens


@pytest.mark.parametrize(("method", "new"), [("score", 1), ("generate", 4)])
def test_answers_are_the_one_by_one_answers_or_ties(slot: ModelSlot, method: str, new: int) -> None:
    tokenizer, texts, made = encoded(slot)
    with fused_norms(slot.model):
        got = answers(batch_answer(slot.model, method, new), made)
    found = [
        compare(FACTS, slot.model, tokenizer, texts[number], number, got[number])
        for number in sorted(texts)
    ]
    assert parity_failure("smollm2", found, tokenizer) == []
    assert all(row.equal for row in found[: len(SURE)])  # ties alone would show nothing
    assert all(row.gap <= row.bound for row in found if not row.equal)


def right_padded(batch: Batch) -> Batch:
    """The batch with its pads behind the prompts, and nothing that says so."""
    assert batch.mask is not None
    order = batch.mask.argsort(dim=1, descending=True, stable=True)
    return replace(batch, ids=batch.ids.gather(1, order), mask=None)


FAULTS: dict[str, Callable[[Batch], Batch]] = {
    "no mask": lambda batch: replace(batch, mask=None),
    "answers of other rows": lambda batch: replace(
        batch, numbers=batch.numbers[1:] + batch.numbers[:1]
    ),
    "padded on the right": right_padded,
}


@pytest.mark.parametrize("fault", FAULTS)
def test_planted_fault_fails_the_check(slot: ModelSlot, fault: str) -> None:
    tokenizer, texts, made = encoded(slot, products=1)
    faulty = tuple(FAULTS[fault](batch) for batch in made)
    got = answers(batch_answer(slot.model, "generate", 4), faulty)
    found = [
        compare(FACTS, slot.model, tokenizer, texts[number], number, got[number])
        for number in sorted(texts)
    ]
    first, *_ = parity_failure("smollm2: cpu bf16", found, tokenizer)
    assert first.startswith("smollm2: cpu bf16: row ") and "likely cause: pads are read" in first


def test_fused_norms_move_logits_within_the_bound_and_go(slot: ModelSlot) -> None:
    import torch

    _, _, (batch,) = encoded(slot)
    with torch.inference_mode():
        plain = last_logits(slot.model, batch).float()
        with fused_norms(slot.model):
            assert all("forward" in vars(norm) for norm in rms_norms(slot.model))
            moved = last_logits(slot.model, batch).float()
        assert torch.equal(last_logits(slot.model, batch).float(), plain)
    assert len(rms_norms(slot.model)) == 2 * FACTS.architecture["num_hidden_layers"] + 1
    assert 0 <= float((moved - plain).abs().max()) <= logit_bound(FACTS, plain)


def test_batch_without_pads_makes_no_mask(slot: ModelSlot, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mask in memory keeps torch from its fastest attention kernel."""
    import torch

    seen: list[Any] = []
    plain = torch.nn.functional.scaled_dot_product_attention

    def attention(*args: Any, **given: Any) -> Any:
        seen.append((given.get("attn_mask"), given.get("is_causal")))
        return plain(*args, **given)

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", attention)
    answer = batch_answer(slot.model, "score", 1)
    answer(Batch((0, 1), torch.tensor([[5, 6, 7], [8, 9, 10]]), None))
    assert set(seen) == {(None, True)} and len(seen) == FACTS.architecture["num_hidden_layers"]
    seen.clear()
    answer(encoded(slot)[2][0])
    assert all(mask is not None for mask, _ in seen)


def test_batches_that_do_not_fit_are_halved_and_no_row_is_lost(slot: ModelSlot) -> None:
    import torch

    _, _, made = encoded(slot)
    real, sizes = batch_answer(slot.model, "score", 1), []

    def small(batch: Batch) -> Any:
        if batch.tokens > 200:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        sizes.append(batch.tokens)
        return real(batch)

    got = answers(small, made)
    assert sorted(got) == sorted(made[0].numbers) and len(sizes) > 2
    assert got == answers(real, made, max(sizes))


def test_prompt_that_never_fits_is_a_memory_error_and_other_errors_pass(slot: ModelSlot) -> None:
    import torch

    _, _, made = encoded(slot)

    def never(batch: Batch) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    def broken(batch: Batch) -> Any:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    with pytest.raises(MemoryError, match=r"row \d: too little memory for one prompt"):
        answers(never, made)
    with pytest.raises(RuntimeError, match="illegal memory access"):
        answers(broken, made)

"""Batched scoring on SmolLM2's real weights: the one-by-one answers, and memory that runs out."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.harness.batches.answers import (
    Batch,
    answer_batches,
    batch_answer,
    last_logits,
    make_batches,
)
from tests.harness.batches.fused_norms import fused_norms, rms_norms
from tests.harness.batches.parity import Comparison, compare, parity_failure
from tests.harness.data.registry import registry
from tests.harness.model.loading import LoadedModel, ModelSlot, prepared_tokenizer
from tests.harness.model.logits import logit_bound
from tests.harness.prices.products import price_prompt, read_products
from tests.harness.sources.weights import prepare_weights

SPEC = registry()["smollm2"]
# Prompts whose next token a small model is sure of: what price it names is often a tie.
SURE = (
    "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15,",
    "Monday, Tuesday, Wednesday, Thursday, Friday, Saturday, Sunday, Monday, Tuesday,",
    "a b c d e f g h i j k l m n o p q r s t",
)
SHORT = [product.text for product in read_products() if len(product.description) < 250][:2]
TEXTS = dict(enumerate([*SURE, *map(price_prompt, SHORT)]))


@pytest.fixture(scope="module")
def loaded(bundle: dict[str, Path]) -> Iterator[LoadedModel]:
    """The model in memory, bf16."""
    slot, folder = ModelSlot(), bundle["smollm2"]
    weights = prepare_weights(SPEC, "cpu", "auto", folder, print)
    yield slot.load(SPEC, "cpu", "bf16", weights, prepared_tokenizer(folder))
    slot.unload()


@pytest.fixture(scope="module")
def batch(loaded: LoadedModel) -> Batch:
    """All prompts, padded."""
    ids = {number: loaded.tokenizer.encode(text) for number, text in TEXTS.items()}
    (batch,) = make_batches(ids, 100_000, loaded.tokenizer.pad_token_id)
    assert batch.mask is not None
    return batch


def answers(answer: Any, batch: Batch, limit: int = 100_000) -> dict[int, list[int]]:
    """New tokens by row number."""
    tokens: dict[int, list[int]] = {}

    def keep(part: Batch, rows: list[list[int]]) -> None:
        tokens.update(zip(part.numbers, rows, strict=True))

    answer_batches(answer, [batch], limit, keep)
    return tokens


def compared(
    loaded: LoadedModel, got: dict[int, list[int]], rows: int | None = None
) -> list[Comparison]:
    """Each prompt's answer beside the one it gets alone."""
    model, tokenizer = loaded.model, loaded.tokenizer
    return [compare(SPEC, model, tokenizer, TEXTS[n], n, got[n]) for n in sorted(got)[:rows]]


@pytest.mark.parametrize(("method", "new"), [("score", 1), ("generate", 4)])
def test_answers_equal_single_ones_or_are_ties(
    loaded: LoadedModel, batch: Batch, method: str, new: int
) -> None:
    with fused_norms(loaded.model):
        got = answers(batch_answer(loaded.model, method, new), batch)
    assert sorted(got) == sorted(TEXTS)
    rows = compared(loaded, got)
    assert parity_failure("smollm2", rows, loaded.tokenizer) is None
    assert all(row.equal for row in rows[: len(SURE)])  # ties alone would show nothing
    assert all(row.gap <= row.bound for row in rows if not row.equal)


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
def test_planted_fault_fails_the_check(loaded: LoadedModel, batch: Batch, fault: str) -> None:
    got = answers(batch_answer(loaded.model, "score", 1), FAULTS[fault](batch))
    failure = parity_failure(
        "smollm2: cpu bf16", compared(loaded, got, len(SURE)), loaded.tokenizer
    )
    assert failure and failure.subject == "smollm2: cpu bf16" and failure.what.startswith("row ")
    assert failure.cause.startswith("pads are read")


def test_fused_norms_move_logits_within_the_bound_and_go(loaded: LoadedModel, batch: Batch) -> None:
    model = loaded.model
    with torch.inference_mode():
        plain = last_logits(model, batch).float()
        with fused_norms(model):
            assert all("forward" in vars(norm) for norm in rms_norms(model))
            moved = last_logits(model, batch).float()
        assert torch.equal(last_logits(model, batch).float(), plain)
    assert len(rms_norms(model)) == 2 * SPEC.architecture["num_hidden_layers"] + 1
    assert 0 <= float((moved - plain).abs().max()) <= logit_bound(SPEC, plain)


def test_batch_without_pads_makes_no_mask(
    loaded: LoadedModel, batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mask in memory keeps torch from its fastest attention kernel."""
    calls: list[Any] = []
    plain = torch.nn.functional.scaled_dot_product_attention

    def attention(*args: Any, **given: Any) -> Any:
        calls.append((given.get("attn_mask"), given.get("is_causal")))
        return plain(*args, **given)

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", attention)
    answer = batch_answer(loaded.model, "score", 1)
    answer(Batch((0, 1), torch.tensor([[5, 6, 7], [8, 9, 10]]), None))
    assert set(calls) == {(None, True)} and len(calls) == SPEC.architecture["num_hidden_layers"]
    calls.clear()
    answer(batch)
    assert calls and all(mask is not None for mask, _ in calls)


PROMPTS = {number: [number] * (number + 3) for number in range(9)}
PADDED = make_batches(PROMPTS, 100_000, pad=0)[0]
OUT_OF_MEMORY = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")


@pytest.mark.parametrize("largest", [11, 30, 60])
def test_batches_that_do_not_fit_are_halved_and_no_row_is_lost(largest: int) -> None:
    sizes = []

    def small(part: Batch) -> Any:
        if part.tokens > largest:
            raise OUT_OF_MEMORY
        sizes.append(part.tokens)
        return part.ids[:, -1:]

    assert answers(small, PADDED) == {number: [number] for number in PROMPTS}
    assert len(sizes) > 1


@pytest.mark.parametrize(
    ("error", "expected", "text"),
    [
        (OUT_OF_MEMORY, MemoryError, r"row 8: too little memory for one prompt of 11 tokens"),
        (RuntimeError("CUDA error: an illegal memory access"), RuntimeError, "illegal memory"),
    ],
)
def test_prompt_that_never_fits_is_a_memory_error_and_other_errors_pass(
    error: Exception, expected: type[Exception], text: str
) -> None:
    def never(part: Batch) -> Any:
        raise error

    with pytest.raises(expected, match=text):
        answers(never, PADDED)

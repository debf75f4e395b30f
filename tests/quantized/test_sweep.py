"""The price sweep over the products: in batches the answers are those of one prompt at a time."""

import pytest

from tests.harness.batches.answers import answer_batches, batch_answer, make_batches
from tests.harness.batches.fused_norms import fused_norms
from tests.harness.batches.parity import compare, parity_failure
from tests.harness.errors import fail
from tests.harness.model.generation import NEW_TOKENS
from tests.harness.model.loading import LoadedModel
from tests.harness.prices.dataset import DataSet, Row, read_rows
from tests.harness.prices.products import PRODUCTS

DATA = DataSet(str(PRODUCTS), text_column="description", wrap=True)
# Every twelfth product: an answer takes a second on a CPU.
ROWS = 12
BATCH_TOKENS = 2048


@pytest.mark.loads("nf4")
def test_batched_answers_equal_single_prompt_answers(loaded_model: LoadedModel) -> None:
    spec, model, tokenizer = loaded_model.spec, loaded_model.model, loaded_model.tokenizer
    method = "score" if spec.can("single_token_prices") else "generate"
    rows = [row for row in read_rows(DATA) if isinstance(row, Row) and row.number % ROWS == 0]
    prompts = {row.number: tokenizer.encode(row.text) for row in rows}
    answers: dict[int, list[int]] = {}
    with fused_norms(model):
        answer_batches(
            batch_answer(model, method, NEW_TOKENS),
            make_batches(prompts, BATCH_TOKENS, tokenizer.pad_token_id),
            BATCH_TOKENS,
            lambda batch, tokens: answers.update(zip(batch.numbers, tokens, strict=True)),
        )
    assert answers.keys() == prompts.keys()
    compared = [
        compare(spec, model, tokenizer, row.text, row.number, answers[row.number]) for row in rows
    ]
    if failure := parity_failure(loaded_model.label, compared, tokenizer):
        raise failure
    if loaded_model.weights.trained and not any(row.equal for row in compared):
        all_ties = f"{method}: all {len(compared)} answers are ties, expected equal ones"
        fail(loaded_model.label, all_ties)

"""The price sweep over the products: in batches the answers are those of one prompt at a time."""

import pytest

from tests.harness.diagnosis import fail
from tests.harness.generation import NEW_TOKENS
from tests.harness.live import Live
from tests.harness.model.batch_parity import compare, parity_failure
from tests.harness.model.batched_answers import answer_batches, batch_answer, make_batches
from tests.harness.model.fused_norms import fused_norms
from tests.harness.price_prompts import PRODUCTS
from tests.harness.price_rows import DataSet, Row, read_rows

DATA = DataSet(str(PRODUCTS), text_column="description", wrap=True)
# Every twelfth product: an answer takes a second on a CPU.
ROWS = 12
BATCH_TOKENS = 2048


@pytest.mark.loads("nf4")
def test_batched_answers_are_the_one_by_one_answers(live: Live) -> None:
    method = "score" if live.facts.can("single_token_prices") else "generate"
    rows = [row for row in read_rows(DATA) if isinstance(row, Row) and row.number % ROWS == 0]
    prompts = {row.number: live.tokenizer.encode(row.text) for row in rows}
    answers: dict[int, list[int]] = {}
    with fused_norms(live.model):
        answer_batches(
            batch_answer(live.model, method, NEW_TOKENS),
            make_batches(prompts, BATCH_TOKENS, live.tokenizer.pad_token_id),
            BATCH_TOKENS,
            lambda batch, tokens: answers.update(zip(batch.numbers, tokens, strict=True)),
        )
    assert answers.keys() == prompts.keys()
    compared = [
        compare(live.facts, live.model, live.tokenizer, row.text, row.number, answers[row.number])
        for row in rows
    ]
    if lines := parity_failure(live.title, compared, live.tokenizer):
        fail(*lines)
    if live.weights.trained and not any(row.equal for row in compared):
        fail(f"{live.title}: {method}: all {len(compared)} answers are ties, expected equal ones")

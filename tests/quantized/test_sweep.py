"""The price sweep over the products: in batches the answers are those of one prompt at a time."""

import pytest

from tests.harness.diagnosis import fail
from tests.harness.generation import NEW_TOKENS
from tests.harness.live import Live
from tests.harness.price_prompts import PRODUCTS
from tests.harness.price_rows import DataSet, Row, read_rows
from tests.tools.sweep.batches import windows
from tests.tools.sweep.check import compare, verdict
from tests.tools.sweep.fusing import fused_norms
from tests.tools.sweep.scoring import Room, answers, asker

DATA = DataSet(str(PRODUCTS), text_column="description", wrap=True)
# Every twelfth product: an answer takes a second on a CPU.
ROWS = 12


@pytest.mark.loads("nf4")
def test_batched_answers_are_the_one_by_one_answers(live: Live) -> None:
    method = "score" if live.facts.can("single_token_prices") else "generate"
    rows = [row for row in read_rows(DATA) if isinstance(row, Row) and row.number % ROWS == 0]
    (window,) = windows(rows, live.tokenizer, len(rows), batch_tokens=2048, limit=1000)
    with fused_norms(live.model):
        ask = asker(live.model, method, NEW_TOKENS)
        found = {
            number: ids
            for batch, answered in answers(ask, window.batches, Room(2048), live.device)
            for number, ids in zip(batch.numbers, answered, strict=True)
        }
    assert found.keys() == {row.number for row in rows}
    compared = [
        compare(live.facts, live.model, live.tokenizer, row.text, row.number, found[row.number])
        for row in rows
    ]
    if lines := verdict(live.title, compared, live.tokenizer):
        fail(*lines)
    if live.weights.trained and not any(it.equal for it in compared):
        fail(f"{live.title}: {method}: all {len(compared)} answers are ties, expected equal ones")

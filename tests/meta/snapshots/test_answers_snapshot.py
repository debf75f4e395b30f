"""Recorded answers: equal on any processor, another as soon as the answers move."""

import pytest
import torch

from tests.harness.model.logits import answer_rows
from tests.harness.text import quote

LOGITS = torch.tensor([0.0, 5.0, 4.6, 1.0, 3.9])


def rows(logits: torch.Tensor, *recorded: str) -> list[str]:
    return answer_rows(logits, "nf4", lambda token: quote(f"p{token}"), recorded)


def moved(*moves: float) -> torch.Tensor:
    return LOGITS + torch.tensor(moves)


def test_all_tokens_that_can_be_likeliest_are_recorded() -> None:
    """Those within two moves of the first: on two processors both may move."""
    assert rows(LOGITS) == ["1 'p1' -0.7", "2 'p2' -1.1"]
    assert rows(moved(0, 0, 0, 0, 0.2)) == ["1 'p1' -0.7", "2 'p2' -1.1", "4 'p4' -1.6"]


@pytest.mark.parametrize("moves", [(0, 0.3, 0, 0, 0), (0, -0.3, 0.3, 0, 0), (0, 0, 0, 0.3, 0.2)])
def test_what_a_processor_moves_is_no_change(moves: tuple[float, ...]) -> None:
    """Even where another token is likeliest now, or one more could be."""
    recorded = rows(LOGITS)
    assert rows(moved(*moves), *recorded) == recorded


@pytest.mark.parametrize(
    ("moves", "now"),
    [((0, 0, 0, 4.5, 0), "3 'p3' -0.8"), ((0, 0, -1.0, 0, 0), "1 'p1' -0.5")],
    ids=["another token", "another probability"],
)
def test_an_answer_that_moved_is_a_change(moves: tuple[float, ...], now: str) -> None:
    recorded = rows(LOGITS)
    changed = rows(moved(*moves), *recorded)
    assert changed != recorded
    assert now in changed


def test_rows_of_another_kind_are_no_record() -> None:
    assert rows(LOGITS, "(no rows)") == rows(LOGITS)

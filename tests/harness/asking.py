"""Questions to the loaded model: each is asked once a session, for an answer takes a second."""

from collections.abc import Callable
from typing import Any

import pytest

from .generation import Answer, predict
from .live import Live

Ask = Callable[..., Answer]


@pytest.fixture(scope="session")
def asked() -> dict[str, Answer]:
    """The answers so far, by model, device, load, prompt and changes."""
    return {}


@pytest.fixture
def ask(live: Live, asked: dict[str, Answer]) -> Ask:
    """`predict` for the loaded model, remembered."""

    def ask(prompt: str, **changes: Any) -> Answer:
        key = f"{live.title} {prompt!r} {sorted(changes.items())}"
        if key not in asked:
            asked[key] = predict(live.model, live.tokenizer, prompt, **changes)
        return asked[key]

    return ask

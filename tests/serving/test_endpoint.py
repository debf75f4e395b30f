"""A server of one's own (`--endpoint KEY=URL`): what it makes of the same texts and conversations.

It is only read: no test asks for an answer without `--endpoint-generates`.
"""

import pytest

from tests.harness.data.cases import texts
from tests.harness.engines.asked import check_counts, check_prompts, check_texts
from tests.harness.engines.endpoint import Endpoint
from tests.harness.plugins.parametrize import chats_of


def needs_route(endpoint: Endpoint, *routes: str) -> None:
    """Skip what the server has no route for."""
    if not any(endpoint.served.connection.can(route) for route in routes):
        pytest.skip(f"{endpoint.served.engine.title} has no route for {' or '.join(routes)}")


def test_endpoint_ids(endpoint: Endpoint) -> None:
    needs_route(endpoint, "ids")
    check_texts(endpoint, texts().values(), special=True)


def test_endpoint_ids_without_special_tokens(endpoint: Endpoint) -> None:
    needs_route(endpoint, "ids")
    check_texts(endpoint, texts().values(), special=False)


def test_endpoint_prompts(endpoint: Endpoint, recorded: dict[str, str]) -> None:
    needs_route(endpoint, "prompt", "prompt_ids")
    check_prompts(endpoint, chats_of(endpoint.tokenizer), recorded)


def test_endpoint_counts(endpoint: Endpoint) -> None:
    check_counts(endpoint, chats_of(endpoint.tokenizer))

"""Snapshots: ids of every text, prompt and ids of every conversation. Contracts are elsewhere."""

import pytest
from syrupy.assertion import SnapshotAssertion

from tests.harness.checks.tokenizer import check_ids
from tests.harness.data.cases import ChatCase, TextCase
from tests.harness.snapshots.check import check_snapshot
from tests.harness.tokenizer.chat import prompt_rows
from tests.harness.tokenizer.loaded import LoadedTokenizer
from tests.harness.tokenizer.pieces import token_rows


@pytest.mark.snapshot_of("ids")
def test_ids_snapshot(
    tokenizer: LoadedTokenizer, text: TextCase, snapshot: SnapshotAssertion
) -> None:
    # A known failure lets an update save the others: its own broken ids must never be saved.
    ids, expected = tokenizer.ids(text), tokenizer.tokenizers.encode(text.full_text).ids
    check_ids(tokenizer, text.name, "AutoTokenizer's ids are not the file's", ids, expected)
    check_snapshot(snapshot, tokenizer, "ids", text.name, token_rows(tokenizer, ids))


@pytest.mark.snapshot_of("prompts")
def test_prompts_snapshot(
    tokenizer: LoadedTokenizer, chat: ChatCase, snapshot: SnapshotAssertion
) -> None:
    check_snapshot(snapshot, tokenizer, "prompts", chat.name, prompt_rows(tokenizer, chat))

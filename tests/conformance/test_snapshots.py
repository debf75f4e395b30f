"""Recordings: ids of every text, prompt and ids of every conversation. Contracts are elsewhere."""

from syrupy.assertion import SnapshotAssertion

from tests.harness.cases import ChatCase, TextCase
from tests.harness.diagnosis import check_ids
from tests.harness.loading import Loaded
from tests.harness.prompts import prompt_rows
from tests.harness.snapshots import check_snapshot
from tests.harness.tokens import rows


def test_ids_snapshot(model: Loaded, text: TextCase, snapshot: SnapshotAssertion) -> None:
    # A broken contract must never reach the recording, whatever the options.
    expected = model.raw.encode(text.full_text).ids
    check_ids(model, text.name, "AutoTokenizer's ids are not the file's", model.ids(text), expected)
    check_snapshot(snapshot, model, "ids", text.name, rows(model, model.ids(text)))


def test_prompts_snapshot(model: Loaded, chat: ChatCase, snapshot: SnapshotAssertion) -> None:
    check_snapshot(snapshot, model, "prompts", chat.name, prompt_rows(model, chat))

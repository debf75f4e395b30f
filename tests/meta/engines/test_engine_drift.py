"""Drift of an engine: known changes are found, and equal versions differ in nothing."""

from pathlib import Path

import pytest

from tests.meta.conftest import run_anew

DRIFT = "tests.tools.drift"
OF_LLAMA_CPP = ("--package", "xllamacpp", "--models", "qwen2")


@pytest.mark.slow
def test_equal_versions_differ_in_nothing(tmp_path: Path) -> None:
    run = run_anew(DRIFT, "current", "current", *OF_LLAMA_CPP, "--out", str(tmp_path))
    assert run.code == 0, run.out[-2000:]
    assert (tmp_path / "drift.html").exists()


@pytest.mark.slow
def test_changes_of_2026_are_found(tmp_path: Path) -> None:
    """A continued answer is closed before, and nothing counts a conversation's tokens."""
    versions = ("2026.4.8672.1", "2026.7.9873")
    run = run_anew(DRIFT, *versions, *OF_LLAMA_CPP, "--out", str(tmp_path))
    assert run.code == 1, run.out[-2000:]
    assert run.line("rendered text, /apply-template (2 in qwen2)")
    assert run.line("errors and warnings, /v1/chat/completions/input_tokens (")
    page = (tmp_path / "drift.html").read_text(encoding="utf-8")
    assert "turns.continue_final_message" in page

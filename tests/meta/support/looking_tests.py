"""Tests that look for a login everywhere; `test_login.py` runs them, and nobody else."""
# ruff: noqa: D103  (a test's name says what it tests)

import os
import subprocess
import sys
from pathlib import Path

import huggingface_hub
import pytest

from .leaking_tests import CANARIES


def held(text: str) -> list[str]:
    """The canaries in a text, backwards, lest they be hidden."""
    return [it[::-1] for it in CANARIES if it in text]


def test_process() -> None:
    assert held(str(dict(os.environ).values())) == []


def test_child() -> None:
    code = "import os; print(list(os.environ.values()))"
    done = subprocess.run(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True
    )
    assert held(done.stdout) == []


def test_hub_library() -> None:
    assert huggingface_hub.get_token() is None


@pytest.mark.skipif("PYTEST_XDIST_WORKER" not in os.environ, reason="was started with the login")
def test_worker() -> None:
    assert held(Path("/proc/self/environ").read_text(errors="replace")) == []

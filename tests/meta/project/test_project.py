"""The project itself: what it requires, its top level and its code are as agreed."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.meta.conftest import PROJECT

VISIBLE = {"tests", "fixtures", "conftest.py", "pytest.ini", "requirements.txt", "README.md"}

CHECKERS = {
    "ruff_check": ("ruff", "check", "conftest.py", "tests"),
    "ruff_format": ("ruff", "format", "--check", "conftest.py", "tests"),
    "mypy": ("mypy",),
    "floors": ("lint-imports", "--no-cache"),
}


def test_requirements_are_pinned_exactly() -> None:
    for listing in ("requirements.txt", "tests/meta/requirements.txt"):
        for line in (PROJECT / listing).read_text(encoding="utf-8").splitlines():
            if line and not line.startswith("#"):
                assert re.fullmatch(r"[A-Za-z0-9_.-]+==[0-9][0-9a-z.]*", line), line


def test_top_level_is_the_agreed_one() -> None:
    listing = subprocess.run(
        ["git", "ls-files"], cwd=PROJECT, capture_output=True, text=True, check=False
    )
    if listing.returncode:
        pytest.skip("not a git checkout")
    names = {line.partition("/")[0] for line in listing.stdout.splitlines()}
    assert {name for name in names if not name.startswith(".")} == VISIBLE


@pytest.mark.parametrize("name", CHECKERS)
def test_code_is_clean(name: str) -> None:
    program, *arguments = CHECKERS[name]
    command = [str(Path(sys.executable).parent / program), *arguments]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:]

"""The project itself: README says what is there, and code and top level are as agreed."""

import importlib.util
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.meta.conftest import PROJECT, run_pytest

README = (PROJECT / "README.md").read_text(encoding="utf-8")


VISIBLE = {"tests", "fixtures", "conftest.py", "pytest.ini", "requirements.txt", "README.md"}


def test_readme_has_two_commands_that_set_everything_up() -> None:
    commands = re.findall(r"^pip install .*&& pytest.*$", README, re.MULTILINE)
    assert len(commands) == 2
    for command in commands:
        for listing in re.findall(r"-r (\S+)", command):
            assert (PROJECT / listing).is_file(), listing


def test_readme_is_short_enough_to_be_read() -> None:
    assert len(README.splitlines()) < 250


def test_every_option_in_readme_exists_and_ours_are_all_there() -> None:
    text = run_pytest("--help").out
    modules = dict.fromkeys(re.findall(r"-m (tests\.(?:harness|meta)\.[a-z_.]+)", README))
    for module in modules:
        command = [sys.executable, "-m", module, "--help"]
        text += subprocess.run(command, cwd=PROJECT, capture_output=True, text=True).stdout
    options = set(re.findall(r"`(?:DATA )?(--[a-z-]+)", README))
    assert options
    assert {option for option in options if option not in text} == set()
    group = text.partition("model conformance:")[2].partition("\n\n")[0]
    ours = set(re.findall(r"^  (--[a-z-]+)", group, re.MULTILINE))
    assert {"--source", "--gate"} <= ours <= options, "an option is missing in README"


def test_every_path_and_module_in_readme_exists() -> None:
    for path in re.findall(r"`((?:fixtures|tests)/[a-z_./]+)`", README):
        assert (PROJECT / path).exists(), path
    for module in re.findall(r"python -m (tests[a-z_.]+)", README):
        assert importlib.util.find_spec(module), module


def readme_runs() -> list[str]:
    """What README says to type at pytest, with a model's key in the place of KEY."""
    inline, block = re.findall(r"`(pytest [^`]*)`", README), re.findall(r"^pytest .*", README, re.M)
    return sorted({" ".join(it.split()).replace("KEY", "phi3") for it in inline + block})


@pytest.mark.parametrize("command", readme_runs())
def test_pytest_takes_every_command_in_readme(command: str, tmp_path: Path) -> None:
    """Collected, not run: a wrong option or path is status 4, a selection of nothing 5."""
    (tmp_path / "tokenizer.json").touch()  # a model's folder
    words = shlex.split(re.sub(r"=(report|DIR)\b", f"={tmp_path}", command))[1:]
    run = run_pytest(*words, "--collect-only", "-q")
    first_to_be_recorded = "baseline.json: no such file" in run.out
    assert run.code in (0, 1) or first_to_be_recorded, run.out[-2000:]


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


@pytest.mark.parametrize(
    "arguments",
    [("ruff", "check"), ("ruff", "format", "--check"), ("mypy",)],
    ids=["ruff_check", "ruff_format", "mypy"],
)
def test_code_is_clean(arguments: tuple[str, ...]) -> None:
    places = () if arguments == ("mypy",) else ("conftest.py", "tests")
    command = [sys.executable, "-m", *arguments, *places]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:]

"""Who sees a login: the process that fetches from the hub, and no measuring process or command."""

from pathlib import Path

import pytest

from tests.harness.data.registry import registry
from tests.harness.redaction import HIDDEN
from tests.meta.conftest import run_anew, run_pytest
from tests.meta.plugins.test_redaction import logins, planted
from tests.meta.support.hub_runs import file_requests
from tests.meta.support.hub_server import Seen, serve
from tests.meta.support.leaking_tests import HUB, SAVED
from tests.meta.support.small_project import MODES, change, small, state, update

__all__ = ["small"]
PHI3 = registry()["phi3"].hub_id
PRICES = ("tests/conformance/test_prices.py", "--models", "phi3")


@pytest.mark.parametrize(
    ("login", "mode"),
    [pytest.param(HUB, "distributed", marks=pytest.mark.slow), (SAVED, "alone")],
)
def test_the_hub_is_asked_with_the_login(
    mode: str, login: str, bundle: dict[str, Path], tmp_path: Path
) -> None:
    """The variable goes before the saved one; a worker is told it by its controller."""
    given, seen = logins(tmp_path / "home"), list[Seen]()
    if login == SAVED:
        del given["HF_TOKEN"]
    with serve({PHI3: bundle["phi3"]}, {}, seen) as endpoint:
        run = run_pytest(*PRICES, "--source", "hub", *MODES[mode], HF_ENDPOINT=endpoint, **given)
    assert run.code == 0, run.out
    assert {request.authorization for request in file_requests(seen)} == {f"Bearer {login}"}


def test_a_hub_that_repeats_the_login_is_not_quoted(
    bundle: dict[str, Path], tmp_path: Path
) -> None:
    given = logins(tmp_path / "home")
    with serve({PHI3: bundle["phi3"]}, {PHI3: "forbidden"}) as endpoint:
        run = run_pytest(*PRICES, "--source", "hub", HF_ENDPOINT=endpoint, **given)
    assert run.code == 1
    assert f"Bearer {HIDDEN} may not read" in run.out
    assert HUB not in run.out


@pytest.mark.slow
def test_measuring_processes_get_none(tmp_path: Path) -> None:
    """A plugin looks, in the process that is started and in those that it starts."""
    looks = """
import os
from pathlib import Path

def pytest_sessionstart():
    from tests.meta.support.leaking_tests import held

    seen = held(str(os.environ.values()))
    own = held(Path("/proc/self/environ").read_text(errors="replace"))
    with open(os.environ["NOTES"], "a") as notes:
        notes.write(f"{len(seen)} {len(own)}\\n")
"""
    notes = tmp_path / "notes"
    tests = ("tests/benchmarks/test_tokenizer_latency.py", "--models", "phi3")
    run = run_pytest(
        *(
            *tests,
            "-k",
            "encode_prompt",
            "--latency-processes",
            "2",
            "--latency-save",
            str(tmp_path / "saved.json"),
        ),
        NOTES=str(notes),
        **logins(tmp_path / "home"),
        **planted(tmp_path, looks),
    )
    assert run.code == 0, run.out
    # What this process was started with, nobody can take back; it started the other without.
    assert notes.read_text().split("\n")[:2] == ["0 2", "0 0"]


COMMANDS = {
    "tests.tools.budget": (f"{HUB}.jsonl",),
    "tests.tools.sweep": (f"{HUB}.jsonl", "--out", "unused", "--model-dir", HUB),
    "tests.tools.drift": (HUB, HUB, "--models", HUB),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_do_not_repeat_a_login(command: str, tmp_path: Path) -> None:
    """Each repeats what it cannot read."""
    run = run_anew(command, *COMMANDS[command], **logins(tmp_path / "home"))
    assert run.code == 2
    assert HUB not in run.out and HIDDEN in run.out, run.out.replace(HUB, HUB[::-1])


def test_a_recording_that_would_hold_a_login_is_not_saved(small: Path) -> None:
    """A version string is the one text in it that nobody splits into tokens."""
    login = "20.8.4711-of-the-hub"
    plugin = f"""
import pytest

@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart():
    from tests.harness.snapshots import session

    session.versions = lambda: {{"transformers": "{login}"}}
"""
    before = state(small)
    change(small)
    changed = state(small)
    run = update(small, **planted(small, plugin), HF_TOKEN=login)
    assert run.code == 1
    run.line("NOT saved, the old file is kept: it would hold a secret")
    assert state(small) == changed != before

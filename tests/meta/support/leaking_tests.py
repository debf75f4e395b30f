"""Tests that print secrets in every way, and look for logins; only `test_redaction.py` runs them.

In front of each secret is the name of the way, so that a way which printed nothing is noticed.
"""

# ruff: noqa: D103  # a test's name says what it tests
import json
import logging
import os
import subprocess
import sys
import urllib.parse
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest

from tests.harness.diff import compared_texts
from tests.harness.errors import ContractBroken

# A login of the hub, one of GitHub that every way of escaping changes, one that `hf` has saved,
# and one that is beside it. No pattern of a token fits them: they are known by where they stand.
HUB, SAVED, STORED = "canary-of-the-hub-4711", "canary-that-is-saved-4711", "canary-beside-it-4711"
GITHUB = "can\"ary'&<of>\\git+hub/4711\u00f6"
UNKNOWN = "ghp_" + "Unheard0f" * 4  # by its form alone
CANARIES = (HUB, GITHUB, SAVED, STORED, UNKNOWN)
ALL = " ".join(CANARIES)
# What a terminal and GitHub's runner would obey.
HOSTILE = (
    "\x1b[31mred\x07 \x00 \u202egnp.exe\r\n::error::planted\n  ::warning::planted\n##[error]planted"
)
WAYS = (
    *("stdout", "stderr", "passed", "log", "cause", "error", "left", "repr", "cut", "local"),
    *("warning", "id", "property", "setup", "teardown", "skip", "reason", "broken"),
    *("url", "json", "summary", "imported"),
)


def held(text: str) -> list[str]:
    """The canaries in a text, backwards, lest they be hidden."""
    return [secret[::-1] for secret in CANARIES if secret in text]


def test_process_holds_none() -> None:
    assert held(str(dict(os.environ).values())) == []


def test_child_holds_none() -> None:
    code = "import os; print(list(os.environ.values()))"
    assert held(subprocess.check_output([sys.executable, "-c", code], text=True)) == []


def test_hub_library_has_no_login() -> None:
    assert huggingface_hub.get_token() is None


@pytest.mark.skipif("PYTEST_XDIST_WORKER" not in os.environ, reason="was started with the login")
def test_worker_was_started_with_none() -> None:
    assert held(Path("/proc/self/environ").read_text(errors="replace")) == []


def test_prints() -> None:
    print(f"stdout={ALL}")
    print(f"stderr={ALL}", file=sys.stderr)
    pytest.fail("red")


def test_prints_and_passes() -> None:
    print(f"passed={ALL}")


def test_logs() -> None:
    logging.getLogger("leak").warning("log=%s", ALL)
    pytest.fail("red")


def test_raises() -> None:
    try:
        raise ValueError(f"cause={ALL}")
    except ValueError as error:
        raise RuntimeError(f"error={ALL}") from error


def test_asserts() -> None:
    assert f"left={HUB}" == f"right={SAVED}"


def test_asserts_what_is_escaped() -> None:
    assert [f"repr={GITHUB}"] == []


def test_asserts_what_is_cut() -> None:
    """Pytest shows the last ten equal characters and what follows: all of it but one character."""
    assert f"cut={'x' * 60}{SAVED}" == f"cut={'x' * 60}{SAVED[:11]}"


def test_has_locals() -> None:
    local = f"local={ALL}"
    pytest.fail(str(len(local)))


@pytest.mark.filterwarnings("default")
def test_warns() -> None:
    warnings.warn(f"warning={ALL}", stacklevel=1)


@pytest.mark.parametrize("number", [1], ids=[f"id={HUB}"])
def test_has_an_id(number: int) -> None:
    assert number == 0


@pytest.mark.filterwarnings("ignore:record_property is incompatible")
def test_has_properties(
    record_property: Callable[[str, Any], None],
    record_testsuite_property: Callable[[str, Any], None],
) -> None:
    record_property("text", f"property={ALL}")
    record_property(f"name={HUB}", {"property": ALL})
    record_testsuite_property("suite", f"suite={ALL}")
    pytest.fail("red")


@pytest.fixture
def breaks_first() -> None:
    raise RuntimeError(f"setup={ALL}")


@pytest.fixture
def breaks_last() -> Iterator[None]:
    yield
    raise RuntimeError(f"teardown={ALL}")


def test_is_set_up(breaks_first: None) -> None: ...


def test_is_torn_down(breaks_last: None) -> None: ...


def test_skips() -> None:
    pytest.skip(f"skip={ALL}")


@pytest.mark.xfail(reason=f"reason={HUB}")
def test_is_known() -> None:
    pytest.fail("red")


def test_judges() -> None:
    raise ContractBroken(
        "leak", f"broken={ALL}", evidence=compared_texts(f"evidence={ALL}", "other")
    )


def test_escapes() -> None:
    for secret in CANARIES[:-1]:
        print(f"url={urllib.parse.quote(secret)} json={json.dumps(secret)}")
    pytest.fail("red")


def test_prints_what_is_hostile() -> None:
    print(HOSTILE)
    logging.getLogger("leak").warning(HOSTILE)
    raise ContractBroken("hostile", HOSTILE)


def test_asserts_what_is_hostile() -> None:
    assert HOSTILE.replace("planted", "other") == HOSTILE, HOSTILE


@pytest.mark.filterwarnings("default")
def test_warns_of_what_is_hostile() -> None:
    warnings.warn(HOSTILE, stacklevel=1)


def test_times(benchmark: Any) -> None:
    benchmark.extra_info["extra"] = f"extra={ALL}"
    benchmark(int)

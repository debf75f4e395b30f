"""Canaries in the place of logins: in no output of a run; in all with the filter off."""

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from tests.harness import redaction
from tests.harness.redaction import HIDDEN, is_secret, redact
from tests.meta.conftest import PROJECT, Run, run_anew
from tests.meta.support.leaking_tests import CANARIES, GITHUB, HUB, SAVED, STORED, WAYS
from tests.meta.support.small_project import MODES, QUICK_MODES

LEAKING = "tests/meta/support/leaking_tests.py"
# What passes the reports by.
PLUGIN = """
def pytest_terminal_summary(terminalreporter):
    from tests.meta.support.leaking_tests import ALL, HOSTILE

    terminalreporter.write_line(f"summary={ALL}", red=True)
    # Colours and carriage returns are pytest's own there.
    terminalreporter.write_line(HOSTILE.replace("\\x1b[31m", "").replace("\\r", ""))
"""
# With the filter off and the logins given back, all of it must be found.
OFF = """
import os
import sys
import pytest

@pytest.hookimpl(tryfirst=True)
def pytest_configure(config):
    from tests.harness.redaction import redact

    for module in list(sys.modules.values()):
        for name, value in list(vars(module).items()):
            if value is redact:
                setattr(module, name, str)

@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart():
    from tests.harness.redaction import withdrawn

    os.environ.update(withdrawn)
"""
# Pytest fails while it runs, and when it ends with nobody there to catch the exception.
BROKEN = """
def pytest_collection_finish():
    from tests.meta.support.leaking_tests import ALL

    raise RuntimeError(f"internal={ALL}")

def pytest_unconfigure():
    from tests.meta.support.leaking_tests import ALL

    raise RuntimeError(f"uncaught={ALL}")
"""
UNIMPORTABLE = """
from tests.meta.support.leaking_tests import ALL

raise RuntimeError(f"imported={ALL}")
"""


@dataclass(frozen=True)
class Outputs:
    """What a run printed, and the folder with all that it wrote."""

    run: Run
    folder: Path

    def texts(self) -> dict[str, str]:
        """Every output by name."""
        files = [path for path in self.folder.rglob("*") if path.is_file()]
        written = {path.name: path.read_text(errors="replace") for path in files}
        return {"terminal": self.run.out, **written}

    def ended(self, outcome: str) -> set[str]:
        """Names of the tests that ended so, without those that have parameters."""
        plain = re.sub(r"\x1b\[\d*m", "", self.run.out)
        return set(re.findall(rf"^{outcome} \S+::(test_\w+)(?!\S)", plain, re.MULTILINE))


def logins(home: Path) -> dict[str, Any]:
    """Variables that hold canaries, and a home with the saved ones."""
    home.mkdir(parents=True)
    (home / "token").write_text(f"{SAVED}\n")
    (home / "stored_tokens").write_text(f"[old]\nhf_token = {STORED}\n")
    return {"HF_TOKEN": HUB, "GITHUB_TOKEN": GITHUB, "HF_HOME": str(home)}


def planted(folder: Path, plugin: str) -> dict[str, Any]:
    """Variables that give a plugin to a run, and to the processes it starts."""
    (folder / "planted.py").write_text(plugin)
    return {"PYTEST_PLUGINS": "planted", "PYTHONPATH": str(folder)}


def leak(folder: Path, mode: str, plugin: str) -> Outputs:
    """Run the leaking tests, and have everything written that can be."""
    out, unimportable = folder / "out", folder / "test_unimportable.py"
    out.mkdir()
    unimportable.write_text(UNIMPORTABLE)
    writing = [f"--junitxml={out / 'junit.xml'}", f"--report-dir={out / 'report'}"]
    writing += ["-o", f"cache_dir={out / 'cache'}"]
    if mode == "alone":  # workers of xdist measure nothing
        writing.append(f"--benchmark-json={out / 'benchmark.json'}")
    shown = ("-rA", "--showlocals", "--color=yes", "--continue-on-collection-errors")
    place = (f"--rootdir={PROJECT}", f"--config-file={PROJECT / 'pytest.ini'}")
    run = run_anew(
        "pytest",
        *(LEAKING, str(unimportable), *place, *shown, *writing, *MODES[mode]),
        GITHUB_STEP_SUMMARY=str(out / "summary.md"),
        GITHUB_ACTIONS="true",
        **logins(folder / "home"),
        **planted(folder, plugin),
    )
    return Outputs(run, out)


def canaries_in(text: str) -> set[str]:
    """The canaries of which the text holds 12 characters, escaped in any way."""
    unicode = re.sub(r"\\u([0-9a-f]{4})", lambda match: chr(int(match[1], 16)), text)
    views = [text, unquote(text), html.unescape(text), unicode.replace("\\\\", "\\")]
    seen = "\n".join([*views, re.sub(r"\\(.)", r"\1", text)])
    return {
        secret
        for secret in CANARIES
        if any(secret[start : start + 12] in seen for start in range(len(secret) - 11))
    }


@pytest.fixture(
    scope="module",
    params=QUICK_MODES,
)
def mode(request: pytest.FixtureRequest) -> str:
    """Alone, or distributed."""
    return str(request.param)


@pytest.fixture(scope="module")
def outputs(mode: str, tmp_path_factory: pytest.TempPathFactory) -> Outputs:
    """The leaking tests, redacted."""
    return leak(tmp_path_factory.mktemp(mode), mode, PLUGIN)


@pytest.fixture(scope="module")
def unfiltered(mode: str, tmp_path_factory: pytest.TempPathFactory) -> Outputs:
    """The leaking tests with the filter off."""
    return leak(tmp_path_factory.mktemp(f"{mode}-off"), mode, PLUGIN + OFF)


def test_no_canary_in_any_output(outputs: Outputs) -> None:
    leaks = {name: canaries_in(text) for name, text in outputs.texts().items()}
    assert {name: secrets for name, secrets in leaks.items() if secrets} == {}


def test_every_way_was_tried(outputs: Outputs) -> None:
    """What was printed is there, without the secret."""
    text, hidden = "\n".join(outputs.texts().values()), re.escape(HIDDEN)
    assert [way for way in WAYS if not re.search(rf"{way}=.{{,80}}{hidden}", text)] == []


def test_without_the_filter_all_of_it_is_found(
    mode: str, outputs: Outputs, unfiltered: Outputs
) -> None:
    """Else the search would prove nothing."""
    leaky = {name for name, text in unfiltered.texts().items() if canaries_in(text)}
    assert leaky == {name for name, text in outputs.texts().items() if HIDDEN in text}
    alone = {"nodeids", "benchmark.json"} if mode == "alone" else set()
    files = {"junit.xml", "lastfailed", "report.json", "report.html", "summary.md"}
    assert {"terminal", *files, *alone} <= leaky
    assert canaries_in(unfiltered.run.out) == set(CANARIES)
    text = "\n".join(unfiltered.texts().values())
    assert [way for way in WAYS if not re.search(rf"{way}=.{{,80}}can", text)] == []


def test_no_test_and_no_child_sees_a_login(
    mode: str, outputs: Outputs, unfiltered: Outputs
) -> None:
    """Each place is looked at, and the test there fails if the variables are given back."""
    looking = {"test_process_holds_none", "test_child_holds_none", "test_hub_library_has_no_login"}
    if mode == "distributed":
        looking.add("test_worker_was_started_with_none")
    assert looking <= outputs.ended("PASSED")
    assert looking <= unfiltered.ended("FAILED")


def test_nothing_hostile_in_any_output(outputs: Outputs) -> None:
    """Escapes that are not pytest's, and lines that GitHub's runner would obey."""
    for name, text in outputs.texts().items():
        assert not re.search(r"[\x00\x07\r\u202e]|##\[", text), name
        assert "\x1b[31mred" not in text, name
    word = re.search(r"::stop-commands::(\w+)$", outputs.run.out, re.MULTILINE)
    assert word
    obeyed = re.findall(r"^\s*(::.*)", outputs.run.out, re.MULTILINE)
    start, end, *annotations = [line.strip() for line in obeyed]
    assert (start, end) == (word[0], f"::{word[1]}::")
    ours = ("::error file=", "::error title=")
    assert annotations and all(line.startswith(ours) for line in annotations)
    assert f"\x1b[31msummary={HIDDEN}" in outputs.run.out, "pytest's own colours stay"
    assert r"\u001b[0m" not in outputs.run.out, "and are no one's text"
    assert r"\u001b[31mred\u0007 \u0000 \u202egnp.exe\r" in outputs.run.out


def test_no_canary_where_pytest_itself_fails(tmp_path: Path) -> None:
    variables = logins(tmp_path / "home") | planted(tmp_path, BROKEN)
    run = run_anew("pytest", "-p", "no:cacheprovider", LEAKING, **variables)
    assert f"internal={HIDDEN}" in run.line("INTERNALERROR> RuntimeError")
    assert run.line("RuntimeError: uncaught=").startswith(f"RuntimeError: uncaught={HIDDEN}")
    assert canaries_in(run.out) == set()


@pytest.mark.parametrize(
    ("name", "value", "secret"),
    [
        ("HF_TOKEN", HUB, True),
        ("MY_API_KEY", HUB, True),
        ("aws_secret_access_key", HUB, True),
        ("DB_PASSWORD_2", "swordfish", True),
        ("TOKENIZERS_PARALLELISM", "somewhere", False),
        ("HF_TOKEN", "true", False),
        ("TOKEN_LIMIT", "123456789", False),
        ("SECRET_MODE", "Disabled", False),
        ("HF_TOKEN_PATH", "/nowhere/token", False),
        ("GITHUB_TOKEN_URL", "https://example.org", False),
        ("MY_TOKEN", __file__, False),
        ("HF_TOKEN", "x" * 5000, True),
    ],
)
def test_what_is_secret(name: str, value: str, secret: bool) -> None:
    assert is_secret(name, value) == secret


@pytest.fixture
def known_secret(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """One secret is known in this process."""
    monkeypatch.setattr(redaction, "withdrawn", {"HF_TOKEN": HUB})
    redaction.adopt({})
    yield
    monkeypatch.undo()
    redaction.adopt({})


@pytest.mark.parametrize(
    "text",
    [
        "tests/harness/tokenizer/tokenizer_json.py::test_x[phi3-whitespace.tab] 'hf_hub_download'",
        "BEARER of tokens, bearer tokenization, ghp_short, hf_short, https://example.org:8080/@a",
    ],
)
def test_ordinary_text_stays(known_secret: None, text: str) -> None:
    assert redact(text) == text


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        (f"a {HUB} b {HUB}{HUB}", "a (hidden) b (hidden)(hidden)"),
        ("Authorization: Bearer abc.1234567", "Authorization: Bearer (hidden)"),
        ("hf_" + "aB3" * 12, HIDDEN),
        ("https://user:pass@index.example.org/simple", "https://(hidden)@index.example.org/simple"),
    ],
)
def test_secrets_are_hidden(known_secret: None, text: str, redacted: str) -> None:
    assert redact(text) == redacted

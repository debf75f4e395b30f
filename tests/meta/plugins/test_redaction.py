"""Canaries in the place of logins: in no output, however a test says them; and there without us."""

import base64
import html
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from tests.harness import redaction
from tests.harness.redaction import HIDDEN, PIECE, is_secret, redact
from tests.meta.conftest import PROJECT, Run, run_anew
from tests.meta.support.leaking_tests import CANARIES, GITHUB, HUB, SAVED, STORED, WAYS

LEAKS = "tests/meta/support/leaking_tests.py"
# With the filter off, the same must be found: a plugin of the run puts nothing in its place.
OFF = """
import sys
import pytest

@pytest.hookimpl(tryfirst=True)
def pytest_configure(config):
    from tests.harness.redaction import redact

    for module in list(sys.modules.values()):
        for name in ("redact", "scrub"):
            if getattr(module, name, None) is redact:
                setattr(module, name, str)
"""
SAYS = """
def pytest_terminal_summary(terminalreporter):
    from tests.meta.support.leaking_tests import ALL, HOSTILE

    terminalreporter.write_line(f"said={ALL}", red=True)
    terminalreporter.write_line(HOSTILE)
"""
# Where pytest itself breaks: the hook, and how it ends.
BREAKS = {
    hook: f"""
def {hook}():
    from tests.meta.support.leaking_tests import ALL

    raise RuntimeError(f"broken={{ALL}}")
"""
    for hook in ("pytest_collection_finish", "pytest_sessionfinish", "pytest_pycollect_makemodule")
}
MODES = {"alone": (), "distributed": ("-n", "2")}


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


def logins(home: Path) -> dict[str, Any]:
    """Variables that hold canaries, and a home with the saved ones."""
    home.mkdir(parents=True)
    (home / "token").write_text(f"{SAVED}\n")
    (home / "stored_tokens").write_text(f"[old]\nhf_token = {STORED}\n")
    return {"HF_TOKEN": HUB, "GITHUB_TOKEN": GITHUB, "HF_HOME": str(home)}


def planted(folder: Path, plugin: str) -> dict[str, Any]:
    """Variables that give a run a plugin."""
    (folder / "planted.py").write_text(plugin)
    return {"PYTEST_PLUGINS": "planted", "PYTHONPATH": str(folder)}


def leak(place: Path, *options: str, plugin: str = "", **variables: Any) -> Outputs:
    """Run the leaking tests, and have everything written that can be."""
    folder = place / "out"
    folder.mkdir(parents=True)
    variables = {**logins(place / "home"), **variables}
    if plugin:
        variables |= planted(place, plugin)
    writing = [f"--junitxml={folder / 'junit.xml'}", "-o", f"cache_dir={folder / 'cache'}"]
    if not options:  # workers of xdist share one log file, and measure nothing
        writing += [f"--log-file={folder / 'log.txt'}", "-o", "log_cli=true"]
    if not options and plugin not in BREAKS.values():
        writing.append(f"--benchmark-json={folder / 'benchmark.json'}")
    if "--report-dir" in (PROJECT / "tests/harness/options.py").read_text():
        writing.append(f"--report-dir={folder / 'report'}")
    shown = ("-rA", "--showlocals", "--color=yes", "-o", "addopts=--tb=short")
    variables |= {"GITHUB_STEP_SUMMARY": str(folder / "summary.md"), "GITHUB_ACTIONS": "true"}
    run = run_anew("pytest", LEAKS, *shown, *writing, *options, **variables)
    return Outputs(run, folder)


def views(text: str) -> Iterator[str]:
    """The text, and what it is once escapes or base64 are undone."""
    yield text
    yield unquote(text)
    yield html.unescape(text)
    yield re.sub(r"\\u([0-9a-f]{4})", lambda it: chr(int(it[1], 16)), text).replace("\\\\", "\\")
    yield re.sub(r"\\(.)", r"\1", text)
    for word in set(re.findall(r"[A-Za-z0-9+/_-]{16,}", text)):
        code = word.translate({ord("-"): "+", ord("_"): "/"})
        for cut in range(4):
            whole = len(code) - (len(code) - cut) % 4
            yield base64.b64decode(code[cut:whole]).decode(errors="replace")


def found(text: str, pieces: bool = False) -> set[str]:
    """The canaries that are in the text, whole or in longer pieces."""
    seen = "\n".join(views(text))
    size = {it: 12 if pieces else len(it) for it in CANARIES}
    return {
        it
        for it in CANARIES
        for start in range(len(it) - size[it] + 1)
        if it[start : start + size[it]] in seen
    }


@pytest.fixture(scope="module", params=MODES)
def mode(request: pytest.FixtureRequest) -> str:
    """Alone, or distributed."""
    return str(request.param)


@pytest.fixture(scope="module")
def outputs(mode: str, tmp_path_factory: pytest.TempPathFactory) -> Outputs:
    """The leaking tests, cleaned."""
    return leak(tmp_path_factory.mktemp(mode), *MODES[mode])


@pytest.fixture(scope="module")
def unfiltered(mode: str, tmp_path_factory: pytest.TempPathFactory) -> Outputs:
    """The leaking tests with the filter off."""
    return leak(tmp_path_factory.mktemp(f"{mode}-off"), *MODES[mode], plugin=OFF)


def test_no_canary_in_any_output(outputs: Outputs) -> None:
    leaked = {name: found(text, pieces=True) for name, text in outputs.texts().items()}
    assert {name: it for name, it in leaked.items() if it} == {}


def test_every_way_was_tried(outputs: Outputs) -> None:
    """What was said is there, without the secret."""
    said, hidden = "\n".join(outputs.texts().values()), re.escape(HIDDEN)
    assert [it for it in WAYS if not re.search(rf"{it}=.{{,60}}{hidden}", said)] == []


def test_without_the_filter_all_of_it_is_found(
    mode: str, outputs: Outputs, unfiltered: Outputs
) -> None:
    """Else the search would prove nothing."""
    leaky = {name for name, text in unfiltered.texts().items() if found(text)}
    assert leaky == {name for name, text in outputs.texts().items() if HIDDEN in text}
    alone = ("log.txt", "nodeids", "benchmark.json") if mode == "alone" else ()
    assert {"terminal", "junit.xml", "lastfailed", *alone} <= leaky
    assert found(unfiltered.run.out) == set(CANARIES)
    said, secret = "\n".join(unfiltered.texts().values()), "(can|-is-saved|Y2Fu|NhbmF|jYW5)"
    assert [it for it in WAYS if not re.search(rf"{it}=.{{,60}}{secret}", said)] == []


def test_nothing_hostile_in_any_output(outputs: Outputs) -> None:
    """Escapes that are not pytest's, and lines that GitHub's runner would obey."""
    for name, text in outputs.texts().items():
        assert not re.search(r"[\x00\x07\r\u202e]|##\[", text), name
        assert "\x1b[31mred" not in text, name
    word = re.search(r"::stop-commands::(\w+)$", outputs.run.out, re.MULTILINE)
    assert word
    obeyed = re.findall(r"^\s*::.*", outputs.run.out, re.MULTILINE)
    start, end, *annotations = [it.strip() for it in obeyed]
    assert (start, end) == (word[0], f"::{word[1]}::")
    assert [
        it for it in annotations if not it.startswith(("::error file=", "::error title="))
    ] == []
    assert "\x1b[31m" in outputs.run.out, "pytest's own colours stay"
    assert r"\u001b[0m" not in outputs.run.out, "and are no one's text"
    assert r"\u001b[31mred\u0007 \u0000 \u202egnp.exe\r" in outputs.run.out


def test_what_a_plugin_says_is_filtered_too(tmp_path: Path) -> None:
    """By the terminal's filter alone, which knows pytest's colours by their form."""
    run = leak(tmp_path, "-k", "nothing", plugin=SAYS).run
    assert f"\x1b[31msaid={HIDDEN}" in run.out
    assert found(run.out, pieces=True) == set()
    assert not re.search(r"[\x00\x07\u202e]|^\s*::(error|warning)::|##\[", run.out, re.MULTILINE)


@pytest.mark.parametrize("hook", BREAKS)
def test_no_canary_where_pytest_itself_fails(hook: str, tmp_path: Path) -> None:
    """A module that cannot be collected, an internal error, an exception that nobody catches."""
    broken = leak(tmp_path, plugin=BREAKS[hook])
    assert broken.run.code != 0
    assert f"broken={HIDDEN}" in broken.run.out
    assert {name for name, text in broken.texts().items() if found(text, pieces=True)} == set()


@pytest.mark.parametrize(
    ("name", "value", "secret"),
    [
        ("HF_TOKEN", HUB, True),
        ("MY_API_KEY", HUB, True),
        ("aws_secret_access_key", HUB, True),
        ("DB_PASSWORD_2", "swordfish", True),
        ("TOKENIZERS_PARALLELISM", "false", False),
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
def knowing(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """One secret is known in this process."""
    monkeypatch.setattr(redaction, "withdrawn", {"HF_TOKEN": HUB})
    redaction.adopt({})
    yield
    monkeypatch.undo()
    redaction.adopt({})


@pytest.mark.parametrize(
    "text",
    [
        "tests/harness/tokenizer_file.py::test_x[phi3-whitespace.tab] 'hf_hub_download'",
        "BEARER of tokens, bearer tokenization, ghp_short, hf_short, https://example.org:8080/@a",
        HUB[: PIECE - 1] + " " + HUB[-PIECE + 1 :],
    ],
)
def test_ordinary_text_stays(knowing: None, text: str) -> None:
    assert redact(text) == text


@pytest.mark.parametrize(
    ("text", "clear"),
    [
        (f"a {HUB} b {HUB}{HUB}", "a (hidden) b (hidden)(hidden)"),
        (f"{HUB[:PIECE]} {HUB[-PIECE:]}", "(hidden) (hidden)"),
        (f"x{HUB[4:-4]}x", "x(hidden)x"),
        ("Authorization: Bearer abc.1234567", "Authorization: Bearer (hidden)"),
        ("hf_" + "aB3" * 12, HIDDEN),
        ("https://user:pass@index.example.org/simple", "https://(hidden)@index.example.org/simple"),
    ],
)
def test_secrets_and_their_pieces_go(knowing: None, text: str, clear: str) -> None:
    assert redact(text) == clear

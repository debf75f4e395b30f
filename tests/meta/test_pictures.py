"""README's pictures: they are there, load nothing, and show what the suite says today."""

import html
import platform
import re
from pathlib import Path

import pytest
from PIL import Image

from .conftest import PROJECT
from .pictures import (
    KNOWN,
    NODE,
    PAGE,
    SIZE,
    TERMINAL,
    failing,
    photograph,
    terminal_svg,
    terminal_text,
    unknown_failure,
    untraced,
)


def shown(svg: str) -> str:
    """The text of a picture, without spaces, line ends and versions: they move the line ends."""
    runs = re.findall(r"<text[^>]*>([^<]*)</text>", svg)
    text = re.sub(r"\s", "", html.unescape("".join(runs)))
    return re.sub(r"\d+\.\d+(?:\.\d+)*(?:\+[a-z0-9]+)?", "0", text)


def test_pictures_in_readme_exist_and_are_described() -> None:
    readme = (PROJECT / "README.md").read_text(encoding="utf-8")
    for words, path in re.findall(r"!\[([^\]]*)\]\(([^)]+)\)", readme):
        assert words and (PROJECT / path).is_file(), path


def test_pictures_are_small() -> None:
    assert TERMINAL.stat().st_size < 60_000
    assert PAGE.stat().st_size < 250_000
    with Image.open(PAGE) as picture:
        assert (picture.format, picture.size) == ("PNG", SIZE)


def test_terminal_picture_is_what_the_suite_says_today(tmp_path: Path) -> None:
    today = shown(terminal_svg(terminal_text(unknown_failure(tmp_path))))
    assert "got283'',expected281''" in today
    hint = "the terminal says something else by now: python -m tests.meta.pictures"
    assert shown(TERMINAL.read_text(encoding="utf-8")) == today, hint


def test_terminal_picture_loads_nothing() -> None:
    for svg in (TERMINAL.read_text(encoding="utf-8"), terminal_svg("a new one")):
        assert not re.search(r"<script|<image|href|@import|@font-face|url\((?!#)", svg)
        assert set(re.findall(r"https?://[^\s\"]+", svg)) == {"http://www.w3.org/2000/svg"}
        untraced(html.unescape(svg), PROJECT)


def test_picture_keeps_colours_and_spaces() -> None:
    svg = terminal_svg("\x1b[31mFAILED\x1b[0m  '    ' <&>")
    assert "FAILED</text>" in svg and "&lt;&amp;&gt;" in svg
    assert "&#160;&#160;&#x27;&#160;&#160;&#160;&#160;&#x27;" in svg
    assert svg == terminal_svg("\x1b[31mFAILED\x1b[0m  '    ' <&>")
    assert shown(svg) != shown(terminal_svg("FAILED '    ' <>"))


@pytest.mark.parametrize(
    "text",
    [
        "rootdir: /a/copy",
        f"in {PROJECT}/tests",
        f"system {platform.platform()}",
        "2026-01-02T03:04:05+00:00",
        "1 failed in 0.52s",
        "took 23.2 s",
    ],
)
def test_traces_of_machine_and_day_are_refused(text: str) -> None:
    with pytest.raises(SystemExit, match="would be in a picture"):
        untraced(text, Path("/a/copy"))
    assert untraced("transformers 5.23.0", Path("/a/copy")) == "transformers 5.23.0"


def test_run_that_does_not_fail_makes_no_picture(project: Path) -> None:
    with pytest.raises(SystemExit, match="got exit code 0"):
        failing(project, "-q", NODE)  # still a known failure


def test_failure_that_is_not_known_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.meta.pictures.BROKEN", "test_that_is_not_there[")
    with pytest.raises(SystemExit, match=rf"{KNOWN} does not name test_that_is_not_there"):
        unknown_failure(tmp_path)


def test_missing_browser_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SystemExit, match="apt-get install chromium"):
        photograph("<p>page</p>", tmp_path)

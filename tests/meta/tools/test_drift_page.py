"""Drift: the page holds what it must, and whatever the texts say, they stay text."""

import re
from typing import Any

from tests.harness.html.strips import Cell, align, spans, strip_html, visible, words
from tests.meta.support.html_reader import HOSTILE, read
from tests.tools.drift.page import page

LINK = "https://github.com/huggingface/transformers/issues/45812"


def column(text: str) -> dict[str, Any]:
    """A column of a strip as the report holds it, both sides different."""
    side = [{"text": text, "below": text, "gap": False}]
    return {"left": side, "right": [{**side[0], "gap": True}]}


def report(text: str, verdict: str = "breaks") -> dict[str, Any]:
    """A report in which every text is this one."""
    issue = {"package": text, "versions": text, "reason": text, "link": LINK}
    example = {"model": text, "case": text, "first": text, "strip": [column(text)]}
    cause = {
        **{"kind": "ids", "calls": [text], "why": text, "verdict": verdict, "models": [text]},
        **{"differences": 5, "cases": [text] * 5, "first": text, "issue": issue},
        **{"places": [[text, text]] * 5, "examples": [{**example, "left": text, "right": text}]},
    }
    saved = {"saver": text, "loader": text, "model": text, "same": False, "result": text}
    version = {
        **{"label": text, "version": text, "problem": "", "packages": {text: text}},
        **{"tests_problem": None, "passed": 3, "known": 1, "red": {text: text}},
        **{"unexplained": [text]},
    }
    step = {
        **{"older": text, "newer": text, "causes": [cause]},
        **{"counts": {"ids": {"differences": 5, "cases": 5, "models": 1}}},
        **{"saved_files": [{**saved, "issue": issue}]},
    }
    lost = {**version, "problem": text}
    return {
        **{"format": 2, "package": text, "models": {text: {text: "0" * 64}}},
        **{"versions": [version, lost], "steps": [step]},
    }


def test_hostile_text_stays_text() -> None:
    html = page(report(HOSTILE))
    plain = read(page(report("plain")))
    reader = read(html)
    assert reader.tags == plain.tags
    assert not reader.tags & {"script", "img", "iframe", "object", "link", "base", "form"}
    assert {name for name, _ in reader.attributes} == {name for name, _ in plain.attributes}
    assert "alert(1)" in reader.text, "the text itself must be readable"
    assert not re.search(
        r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069]", html
    )


def test_page_refers_to_nothing_but_known_issues() -> None:
    reader = read(page(report(HOSTILE)))
    targets = {value for name, value in reader.attributes if name in ("href", "src", "action")}
    assert {target for target in targets if target and not target.startswith("#")} == {LINK}
    html = page(report("plain"))
    assert "url(" not in html and "@import" not in html and "<script" not in html
    assert "default-src 'none'" in html


def test_first_words_are_the_answer() -> None:
    text = read(page(report("MARK"))).text
    assert text.index("Breaks a contract:") < text.index("Upgrade steps")
    assert "MARK" in text.partition("Upgrade steps")[0]
    assert "No change breaks a contract." in read(page(report("MARK", "fixes"))).text
    raw = report("MARK", "changes")
    raw["versions"][0]["tests_problem"] = "not run"
    assert "No contract was run" in read(page(raw)).text


def test_strip_aligns_and_shows_gaps_and_spaces() -> None:
    left = [Cell("a", "1"), Cell("b", "2"), Cell("c", "3")]
    columns = align(left, [Cell("a", "1"), Cell("c", "3")])
    assert [column.differs for column in columns] == [False, True, False]
    assert columns[1].right == ()
    assert "(none)" in strip_html(columns)
    spread = align([Cell("a", "0:0"), Cell("", "gap", gap=True), Cell("b", "1:1")], left[:2])
    assert [len(column.left) for column in spread] == [2, 1], "a gap goes with the token before"
    cells = spans("one  two", [[0, 3], [5, 8]], [7, 8])
    assert [(cell.text, cell.gap) for cell in cells] == [
        ("one", False),
        ("\u2423\u2423", True),
        ("two", False),
    ]
    assert visible(" \u2423\t") == "\u2423\\u2423\\t"
    assert "".join(cell.text for cell in words("x != y")) == "x\u2423!=\u2423y"


def test_strip_starts_near_the_first_difference() -> None:
    left = [Cell(str(i)) for i in range(1000)]
    columns = align(left, [*left[:700], Cell("new"), *left[701:]])
    assert columns[0].left == (Cell("696"),)
    assert sum(column.differs for column in columns) == 1
    assert len(columns) < 40

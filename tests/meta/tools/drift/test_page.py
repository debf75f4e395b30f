"""Drift: the page holds what it must, and whatever the texts say, they stay text."""

import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.harness.environments import Environment
from tests.harness.files import TESTS
from tests.harness.html.strips import Cell, align, spans, strip_html, visible, words
from tests.harness.text import shortened
from tests.meta.support.html_reader import HOSTILE, read
from tests.tools.drift.causes import Cause
from tests.tools.drift.compare import Compared, Exchange
from tests.tools.drift.differences import Difference
from tests.tools.drift.report import Report, page
from tests.tools.drift.runner import Outcomes, Seen, Subject
from tests.tools.drift.times.verdicts import Change, Times

LINK = "https://github.com/huggingface/transformers/issues/45812"


def report(text: str, verdict: str = "breaks", problem: str | None = None) -> Report:
    """A report in which every text is this one."""
    issue: Any = SimpleNamespace(id=text, package=text, versions=text, reason=text, link=LINK)
    difference = Difference("rendered text", text, text, text, text, text + "other")
    cause = Cause("rendered text", text, verdict, (difference,) * 5, issue)
    outcomes = Outcomes(3, {text: text}, {text: text}, problem)
    here = Environment(Path(text), {text: text})
    seen = Seen(text, text, Subject({}, "auto"), environment=here, outcomes=outcomes)
    change = Change(text, text, text, 1e-5, 2.0, 1.8, 2.2)
    times = Times((text,), 9, {text: [text]}, (change, replace(change, ratio=1.5)))
    step = Compared(seen, seen, [cause], [Exchange(text, text, text, False, text)], times)
    lost = replace(seen, problem=text)
    return Report(text, [seen, lost], [step], {text: {text: "0" * 64}}, lambda *_: [])


@pytest.fixture(autouse=True)
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Saved files that cannot be read are known, too."""
    monkeypatch.setattr(Exchange, "issue", lambda *_: report("x").steps[0].causes[0].issue)


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
    raw = report("MARK", "changes", problem="not run")
    assert "No contract was run" in read(page(raw)).text


def many() -> Report:
    """Several causes of one kind and call, a repaired one, and files lost by two models alike."""
    one = report("MARK")
    (step,) = one.steps
    (cause,) = step.causes
    causes = [
        cause,
        replace(cause, issue=None),
        replace(cause, issue=None, verdict="fixes", differences=cause.differences[:2]),
        replace(cause, issue=None, why="changed"),
    ]
    lost = [Exchange("A", "B", model, False, "ValueError: no") for model in ("one", "two")]
    return replace(one, steps=[replace(step, causes=causes, exchanges=lost)])


def test_no_two_groups_have_one_name() -> None:
    (step,) = many().steps
    assert len(set(step.titles)) == len(step.causes) == 4
    html = page(many())
    heads = re.findall(r"<h3[^>]*>(.*?)</h3>", html)
    assert len(heads) == len(set(heads))
    unlike = replace(step, causes=[step.causes[0], step.causes[3]])
    assert unlike.titles == ["rendered text: MARK: MARK", "rendered text: MARK"]


def test_counts_agree() -> None:
    """Differences: of the step's table, of all groups, in the data and on the terminal."""
    one = many()
    (step,) = one.steps
    total = 5 + 5 + 2 + 5
    assert len(step.differences) == total
    assert step.counts == {"rendered text": (total, 1)}
    html = page(one)
    assert f">{total} (1) !</td>" in html
    groups = re.findall(r"<p>(\d+) differences? in", html)
    assert sum(map(int, groups)) == total
    assert f"rendered text {total}; 3 causes break a contract" in "\n".join(one.lines())
    (data,) = one.data()["steps"]
    assert sum(len(cause["differences"]) for cause in data["causes"]) == total


def test_good_news_is_not_framed_as_bad() -> None:
    """Each box has the look of what it holds; the frame that is red holds no fix."""
    html = page(many())
    boxes = re.findall(r'<div class="answer (\w+)">(.*?)</div>', html, re.DOTALL)
    looks = [(look, re.sub(r"<[^>]+>", "", text).strip().split(":")[0]) for look, text in boxes]
    assert looks == [
        ("bad", "Breaks a contract"),
        ("good", "Fixes one"),
        ("bad", "Saved by one version, read by its neighbour with other ids or not at all"),
    ]
    good = page(report("MARK", "fixes"))
    assert '<div class="answer good"><p><b>No change breaks a contract.' in good
    style = (TESTS / "harness" / "html" / "base.css").read_text(encoding="utf-8")
    assert ".answer.good { border-color: var(--good); }" in style


def test_lost_files_are_told_once() -> None:
    html = page(many())
    assert html.count("ValueError: no") == 1
    assert "<td>one, two</td>" in html
    assert sum("ValueError: no" in line for line in many().lines()) == 1


def test_no_text_is_cut_within_a_word() -> None:
    text = " ".join(f"word{number:03}" for number in range(99))
    one = many()
    (step,) = one.steps
    long = (replace(step.differences[0], kind="calls", left=text, right=f"x{text}"),)
    causes = [replace(step.causes[0], kind="calls", differences=long)]
    shown = read(page(replace(one, steps=[replace(step, causes=causes)]))).text
    assert set(re.findall(r"\bx?word\d*", shown)) <= {*text.split(), "xword000"}
    assert " ..." in shown
    assert shortened("abc", 3) == "abc"
    assert shortened("a" * 50, 20) == "a" * 16 + " ..."


def test_special_tokens_stay_whole_in_strips() -> None:
    cells = words("<|user|>\nHi<|end|>", ["<|end|>", "<|user|>"])
    assert [cell.text for cell in cells] == ["<|user|>", "\\n", "Hi", "<|end|>"]
    one = report("plain")
    (step,) = one.steps
    token = {"32007": {"content": "<|end|>"}}
    seen = {"plain": {"special tokens": {"added tokens": {"": token}}}}
    sides = [replace(side, observed=seen) for side in (step.older, step.newer)]
    (cause,) = step.causes
    differences = (replace(cause.differences[0], left="Hi<|end|>", right="Hi"),)
    changed = replace(step, older=sides[0], newer=sides[1])
    changed = replace(changed, causes=[replace(cause, differences=differences)])
    assert "<b>&lt;|end|&gt;</b>" in page(replace(one, steps=[changed]))


def test_terminal_has_the_same_answer() -> None:
    lines = list(report("MARK").lines())
    assert lines[0] == "MARK MARK: 3 passed, 1 known, 1 red, 1 unexplained"
    assert lines[3] == "MARK -> MARK: rendered text 5; 1 cause breaks a contract"
    assert lines[4] == "  breaks rendered text: MARK: MARK (5 in MARK)"
    assert report("MARK").differs


def test_times_are_told_by_call_and_differ() -> None:
    """The case that changed most, how many more, the interval; without times nothing is said."""
    (step,) = report("MARK").steps
    lines = "\n".join(report("MARK").lines())
    head = (
        "9 calls of MARK timed in turns: 2 slower and 0 faster by more than 10%; left out: 1 MARK"
    )
    line = "slower MARK, MARK MARK: x 2.00 (1.80 to 2.20) of 10 us; 1 more of its cases, less so"
    assert head in lines and line in lines
    text = read(page(report("MARK"))).text
    assert head in text and line in text and "all 2" in text
    assert step.times and len(report("MARK").data()["steps"][0]["times"]["changes"]) == 2
    much = Change("m", "__len__", "c", 0.0528, 0.000126, 0.000119, 0.000134)
    assert str(much) == "x 0.00013 (0.00012 to 0.00013) of 52.8 ms"
    calm = replace(step, causes=[], exchanges=[], times=replace(step.times, changes=()))
    same = Report("MARK", [step.older], [calm], {}, lambda *_: [])
    assert not same.differs
    assert "9 calls of MARK timed in turns: none by more than 10%" in "\n".join(same.lines())
    assert "Slower or faster" not in page(replace(same, steps=[replace(calm, times=None)]))
    died = replace(calm, times=Times(("MARK",), problem="it died"))
    assert replace(same, steps=[replace(calm, times=step.times)]).differs
    assert replace(same, steps=[died]).differs, "what could not be timed is no pass"
    assert "times could not be taken: it died." in read(page(replace(same, steps=[died]))).text


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

"""The report's page: hostile text stays text, no failure hides another, old is above new."""

import base64
import hashlib
import json
import re
from dataclasses import asdict, replace
from typing import Any

import pytest

from tests.harness.diff import compared
from tests.harness.html.pages import LONGEST
from tests.harness.latency.session import LatencyFigures
from tests.harness.model.figures import LoadFigures
from tests.harness.reports.data import FORMAT, Failure, Group, Latency, Load, Named, Report, Source
from tests.harness.reports.page import IN_FULL, diff_lines, page, size, token_strip
from tests.meta.support.html_reader import Reader, read

LONG = "x" * 2**20
HOSTILE = {
    "markup": "</title></style><script>alert(1)</script><img src=//x onerror=y>\"'&{{ 7*7 }}",
    "control": "MARK\u202e\u2066\x1b[31m\x00\x85\u2028\udc80\ud800\ufeff\x07",
    "long": LONG,
}
PART = {"markup": "<script>alert(1)</script>", "control": "MARK\\u202e", "long": "1,048,576 char"}
MISLEADING = (
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)
HISTORY = [[0.2, 0.25, 0.3], [0.45, 0.5, 0.6]]
PLACE = "phi3 plain.one: got 1 'a', expected 2 'b'"


def failure(text: str, cause: str = "", kind: Any = "tokens") -> Failure:
    """A failure in which every text is this one."""
    evidence = dict(compared(kind, [text, f"1 '{text}'"], [text, "2 'b'", text], 1))
    return Failure(text, "failed", text, text, text, cause, [text] * 3, f"rerun: {text}", evidence)


def report(text: str) -> Report:
    """A red report in which every text is this one."""
    numbers: dict[str, Any] = {text: 3}
    memory = LoadFigures(text, 1.5, numbers, 2, 1, 0, 6, 5, 5, 7, 8, 9)
    latency = LatencyFigures(0.5, 1, 2, 0.25, text, 0.5, 7)
    group = Group(text, 2, [Named(text, text)])
    return Report(
        format=FORMAT,
        verdict="red",
        stopped=text,
        exit_code=1,
        started=text,
        seconds=1.5,
        command=text,
        selected=3,
        gate=True,
        scope="gate: conformance on cpu, 1 model: 1 of 1 checks",
        counts={"passed": 1, "failed": 2, "error": 0, "known": 0, "skipped": 0},
        versions={text: text},
        machine={text: text},
        models=[Source(text, text, text, text, text)],
        matrix=[["", text], [text, text]],
        problems=[text],
        missing_evidence=[text],
        failures=[failure(text, text), failure(text, text, "lines")],
        known=[group],
        skipped=[group],
        memory=[Load(text, asdict(memory))],
        latency=[Latency(text, asdict(latency), [[0.5, 0.75]], [[0.25, 0.3]], HISTORY)],
    )


def page_of(text: str, **changes: Any) -> str:
    """The page of that report."""
    return page(asdict(replace(report(text), **changes)))


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_stays_text(name: str) -> None:
    html = page_of(HOSTILE[name])
    plain, reader = read(page_of("plain")), read(html)
    assert reader.tags == plain.tags
    assert not reader.tags & {"script", "img", "iframe", "object", "link", "base", "form", "input"}
    assert {it for it, _ in reader.attributes} == {it for it, _ in plain.attributes}
    assert html.partition("</title>")[0] == page_of("plain").partition("</title>")[0]
    assert PART[name] in reader.text
    assert not re.search(MISLEADING, html)
    assert len(html) < 60 * LONGEST * 3


def test_data_of_hostile_text_is_ascii_json() -> None:
    for text in HOSTILE.values():
        data = asdict(report(text))
        assert json.loads(json.dumps(data).encode("ascii")) == data


def test_policy_allows_the_one_style_sheet() -> None:
    html = page_of("plain")
    style = html.partition("<style>")[2].partition("</style>")[0]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    attributes = read(html).attributes
    assert ("content", policy) in attributes
    assert {it for it in attributes if it[0] in ("style", "src", "srcset", "action")} == set()
    assert {link for name, link in attributes if name == "href"} <= {"#problems"}
    assert "url(" not in style and "@import" not in style


def test_sections_come_in_order() -> None:
    titles = re.findall(r"<h[12][^>]*>([^<]*)", page_of("plain"))
    assert titles == [
        *("RED: 2 failed, 1 passed", "What ran", "Checks by model and area"),
        *("Problems of the gate", "Failures", "Memory", "Latency", "Known failures", "Skipped"),
    ]


@pytest.mark.parametrize("verdict", ["green", "nothing ran"])
def test_verdict_is_said_in_words(verdict: str) -> None:
    counts = dict.fromkeys(("passed", "failed", "error", "known", "skipped"), 0)
    counts["passed"] = 5 * (verdict == "green")
    text = read(page_of("plain", verdict=verdict, failures=[], counts=counts)).text
    words = {"green": "GREEN: 5 passed", "nothing ran": "NOTHING RAN: no check was made"}
    assert words[verdict] in text and "failed" not in text.partition("Failures")[0]


def test_first_line_is_shown_letter_by_letter() -> None:
    line = "phi3 a: got 283 '   ', expected 281 '    '"
    html = page_of("plain", failures=[replace(failure("b"), first_line=line)])
    assert line in read(html).text
    assert '<span class="line">' in html and ".line { white-space: pre-wrap; }" in html


def test_many_failures_of_one_cause_do_not_hide_another() -> None:
    many = [failure(f"first {i}", "one") for i in range(300)] + [failure("the other", "two")]
    for it in many:
        object.__setattr__(it, "model", "phi3")
    reader = Opened()
    html = page_of("plain", failures=many)
    reader.feed(html)
    assert reader.failures == IN_FULL and reader.opened == 2
    assert "300 &times; phi3: likely cause: one" in html and "1 &times; phi3: likely" in html
    assert html.count('<p class="strip">') == IN_FULL
    assert [f"first {i}" in reader.text for i in range(300)] == [True] * 300


class Opened(Reader):
    """Counts failures that are shown with their details, and those of them that are open."""

    failures = opened = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep a tag."""
        super().handle_starttag(tag, attrs)
        if tag == "details" and ("class", "failure") in attrs:
            self.failures += 1
            self.opened += ("open", None) in attrs


def test_old_tokens_stand_above_new_ones() -> None:
    old, new = ["1 'a'", "281 '    '", "5 'c'"], ["1 'a'", "283 '   '", "244 ' '", "5 'c'"]
    text = read(str(token_strip(dict(compared("tokens", new, old, 1))))).text
    assert text == "a1" + "␣␣␣␣281" + "␣␣␣283" + "␣244" + "c5"


def test_lines_mark_what_differs_with_its_spaces() -> None:
    old, new = ["'one\\n'", "'two three'"], ["'one\\n'", "'two  three'", "'four'"]
    evidence = dict(compared("lines", new, old, 1))
    assert [(it.sign, it.before + it.marked + it.after) for it in diff_lines(evidence)] == [
        *((" ", old[0]), ("-", old[1]), ("+", new[1]), ("+", new[2])),
    ]
    (_, left, right) = diff_lines(dict(compared("lines", new[:2], old, 1)))
    assert (left.before, left.marked, left.after) == ("'two ", "", "three'")
    assert (right.before, right.marked, right.after) == ("'two ", " ", "three'")
    html = page_of("plain", failures=[replace(failure("a"), evidence=evidence)])
    assert "<mark>&#39;two␣␣three&#39;</mark>" in html


def test_tables_show_every_figure() -> None:
    text = read(page_of("plain")).text
    bytes_shown = ("plain 3 B", "quantization state 2 B", "biases and other 0 B")
    for figure in (*bytes_shown, "500 ms", "250 ms", "50 %"):
        assert figure in text
    later = LoadFigures("dummy", 1.5, {}, 2, 1, 0, 6, 5, 5, None, None, 25_165_824)
    text = read(page_of("plain", memory=[Load("cpu", asdict(later))])).text
    assert text.count("not counted") == 2 and "25,165,824 B (25.2 MB)" in text
    assert (size(999), size(1000)) == ("999 B", "1,000 B (1.0 kB)")
    alone = LatencyFigures(0.5, 1, 2, None, "", None, None)
    text = read(page_of("plain", latency=[Latency("alone", asdict(alone), [[0.5]], [])])).text
    assert "compared with nothing" in text and "unknown" in text


def test_history_is_a_line_and_its_ends_in_words() -> None:
    assert "2 runs, 250 ms to 500 ms" in read(page_of("plain")).text
    assert page_of("plain").count("<polyline") == 1
    first = Latency("x", asdict(LatencyFigures(0.5, 1, 2, None, "", None, None)), [[0.5]], [])
    assert "<svg" not in page_of("plain", latency=[first])


def test_benchmark_that_failed_while_timed_has_no_row() -> None:
    text = read(page_of("plain", latency=[Latency("broken", {}, [[0.5]], [])])).text
    assert "broken" not in text

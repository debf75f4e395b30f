"""What the report's page shows of failures and figures: none hides another, old is above new."""

from dataclasses import asdict, replace

from tests.harness.evidence import compared
from tests.harness.load_figures import LoadFigures
from tests.harness.reports.figures import latency_times, memory_bars
from tests.harness.reports.page import IN_FULL, lines, tokens
from tests.meta.test_drift_page import Reader, read

from .test_report_page import failure, page_of


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
    text = read(str(tokens(dict(compared("tokens", new, old, 1))))).text
    assert text == "a1" + "␣␣␣␣281" + "␣␣␣283" + "␣244" + "c5"


def test_lines_mark_what_differs_with_its_spaces() -> None:
    old, new = ["'one\\n'", "'two three'"], ["'one\\n'", "'two  three'", "'four'"]
    evidence = dict(compared("lines", new, old, 1))
    assert [(it.sign, it.before + it.marked + it.after) for it in lines(evidence)] == [
        *((" ", old[0]), ("-", old[1]), ("+", new[1]), ("+", new[2])),
    ]
    (_, left, right) = lines(dict(compared("lines", new[:2], old, 1)))
    assert (left.before, left.marked, left.after) == ("'two ", "", "three'")
    assert (right.before, right.marked, right.after) == ("'two ", " ", "three'")
    html = page_of("plain", failures=[replace(failure("a"), evidence=evidence)])
    assert "<mark>&#39;two␣␣three&#39;</mark>" in html


def test_memory_bars_stand_behind_each_other() -> None:
    figures = LoadFigures(
        "dummy", 1.0, {"Linear4bit": 30, "Embedding": 50}, 15, 5, 0, 100, 85, 85, None, 150, 200
    )
    bars = {it.label: it for it in memory_bars(asdict(figures))}
    assert [(it.start, it.width) for it in bars.values()] == [
        *((0, 150), (150, 250), (400, 75), (475, 25)),
        *((0, 500), (0, 425), (0, 425), (0, 750), (0, 1000)),
    ]
    assert bars["peak while loading"].text == "150 B"
    assert [it.limit for it in bars.values()] == [False] * 8 + [True]


def test_latency_shows_every_round_and_the_baseline() -> None:
    times = latency_times({"now": [[0.2, 0.4, 0.4, 9.0]], "baseline": [[0.1, 0.1], [0.2, 0.2]]})
    now, there = times.strips
    assert times.axis == "1.05 s"  # three times the larger figure
    assert [round(it) for it in now.ticks] == [190, 381, 381]
    assert now.text.startswith("350 ms (median of 1 process") and "1 beyond" in now.text
    assert times.mark is not None and round(times.mark) == 143 and len(there.ticks) == 4
    alone = latency_times({"now": [[0.2]], "baseline": []})
    assert alone.mark is None and [it.label for it in alone.strips] == ["now"]

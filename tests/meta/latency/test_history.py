"""The history of a machine's latencies: its lines, what is thinned, and its picture."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.harness.errors import DataError
from tests.harness.html.lines import line_svg
from tests.harness.latency.history import (
    MOST,
    WHOLE,
    Past,
    add_to_history,
    history_file,
    past_of,
    point,
    read_history,
    thinned,
)
from tests.harness.latency.recording import FORMAT, Recording, Timed
from tests.harness.latency.session import LatencyRun
from tests.harness.latency.spec import read_spec

HERE = {"cpu": {"device": "A", "cores": "2"}}
RULE = read_spec().rule


def past(seconds: float, device: str = "A", when: str = "2026-01-01T00:00:00+00:00") -> Past:
    """A run in which the one benchmark took so long."""
    machine = {"cpu": {"device": device, "cores": "2"}}
    return Past(when, machine, {"torch": "1"}, {"test_x": (seconds, seconds, seconds)})


def test_interval_of_a_median_is_that_of_printed_tables() -> None:
    """Of 18 the 4th and the 15th at 0.99, of 10 the 1st and the 10th; of five all there are."""
    assert point(list(range(1, 19)), 0.99) == (4, 9.5, 15)
    assert point(list(range(1, 11)), 0.99) == (1, 5.5, 10)
    assert point([3, 1, 2, 5, 4], 0.99) == (1, 3, 5)
    assert point([0.5], 0.99) == (0.5, 0.5, 0.5)


def test_a_line_holds_machine_versions_and_medians(tmp_path: Path) -> None:
    file = history_file(tmp_path / "baseline.json")
    assert file.name == "baseline.history.jsonl" and read_history(file) == []
    timed = Timed({}, ((0.1, 0.1), (0.2, 0.2), (0.4, 0.4)))
    recording = Recording(FORMAT, HERE, {"torch": "2"}, {}, {"test_x": timed})
    for _ in range(2):
        add_to_history(file, past_of(recording, 0.99))
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert len(lines) == 2 and lines[0].keys() == {"when", "machine", "versions", "medians"}
    assert lines[1]["versions"] == {"torch": "2"} and lines[1]["machine"] == HERE
    assert lines[1]["medians"] == {"test_x": [0.1, 0.2, 0.4]}
    assert [one.medians["test_x"] for one in read_history(file)] == 2 * [(0.1, 0.2, 0.4)]


def test_old_runs_are_thinned_and_new_ones_stay(tmp_path: Path) -> None:
    file = tmp_path / "x.history.jsonl"
    runs = [past(1.0 + number) for number in range(2 * MOST)]
    file.write_text("")
    kept = runs[:MOST]
    assert thinned(kept) == kept
    kept = thinned(runs[: MOST + 1])
    assert kept[-WHOLE:] == runs[MOST + 1 - WHOLE : MOST + 1] and kept[:2] == [runs[0], runs[2]]
    for run in runs:
        add_to_history(file, run)
    left = read_history(file)
    assert WHOLE < len(left) <= MOST and left[-WHOLE:] == runs[-WHOLE:] and left[0] == runs[0]


@pytest.mark.parametrize(
    "line", ["{", "[]", '{"when": "x"}', json.dumps({"when": 1, "machine": {}, "versions": {}})]
)
def test_damaged_line_is_named(tmp_path: Path, line: str) -> None:
    file = tmp_path / "x.history.jsonl"
    add_to_history(file, past(1.0))
    before = file.read_text() + line + "\n"
    file.write_text(before)
    with pytest.raises(DataError, match=r"x\.history\.jsonl.*line 2"):
        add_to_history(file, past(2.0))
    assert file.read_text() == before


def test_history_is_of_this_machine_and_ends_with_this_run(tmp_path: Path) -> None:
    baseline = tmp_path / "baseline.json"
    for one in (past(0.1), past(0.5, device="B"), past(0.2)):
        add_to_history(history_file(baseline), one)
    run = LatencyRun(RULE, False, 1, baseline_file=baseline, machine=HERE)
    assert run.history() == {}
    run.own = {"test_x": Timed({}, ((0.3, 0.3),)), "test_new": Timed({}, ((0.7,),))}
    middles = {name: [middle for _, middle, _ in points] for name, points in run.history().items()}
    assert middles == {"test_x": [0.1, 0.2, 0.3], "test_new": [0.7]}


def test_line_goes_from_left_to_right_and_a_larger_figure_is_higher() -> None:
    svg = line_svg([(1.0, 2.0, 3.0), (1.0, 1.5, 3.0), (2.0, 2.5, 3.0)], "three runs")
    points = svg.partition('<polyline points="')[2].partition('"')[0].split()
    places = [tuple(map(float, each.split(","))) for each in points]
    assert [x for x, _ in places] == [3, 60, 117]
    heights = [y for _, y in places]  # from the top
    assert heights[2] < heights[0] < heights[1]
    assert svg.count("<svg") == svg.count("</svg>") == 1 and 'aria-label="three runs"' in svg
    assert line_svg([(1.0, 1.0, 1.0)], "one run") == ""
    flat: Any = 3 * [(1.0, 1.0, 1.0)]
    assert "nan" not in line_svg(flat, "flat")

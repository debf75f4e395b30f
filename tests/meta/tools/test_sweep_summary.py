"""The figures of a sweep on values computed by hand, and its picture."""

import math
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from tests.harness.batches.parity import Comparison
from tests.tools.sweep.run import longer_prices
from tests.tools.sweep.summary import MAX_POINTS, MAX_REASONS, color, draw, figures, summary_lines


@pytest.mark.parametrize(
    ("truth", "prediction", "expected"),
    [
        (100.0, 139.99, "green"),  # below $40
        (100.0, 140.0, "orange"),  # $40 is not below $40
        (100.0, 179.99, "orange"),
        (100.0, 180.0, "red"),
        (500.0, 401.0, "green"),  # $99, below 20 % of the truth
        (500.0, 400.0, "orange"),
        (500.0, 301.0, "orange"),  # $199, below 40 %
        (500.0, 300.0, "red"),
        (0.0, 39.0, "green"),
    ],
)
def test_color_follows_the_task(truth: float, prediction: float, expected: str) -> None:
    assert color(truth, prediction) == expected


def test_figures_are_those_computed_by_hand() -> None:
    e = math.e
    rows: list[dict[str, Any]] = [
        {"price": e - 1, "prediction": e**2 - 1},  # logs 1 and 2
        {"price": e**3 - 1, "prediction": e - 1},  # logs 3 and 1
        {"price": 1000.0, "prediction": 1000.0},
        {"price": None, "prediction": 5.0},
        {"price": 5.0, "prediction": None},
    ]
    bad = [{"number": 7, "reason": "no text"}, {"number": 8, "reason": "no text"}]
    summary = figures(rows, bad)
    assert summary["rows"] == 7 and summary["predicted"] == 4 and summary["unparsed"] == 1
    assert summary["compared"] == 3
    expected = ((e**2 - e) + (e**3 - e)) / 3
    assert summary["mean_absolute_error_dollars"] == pytest.approx(expected)
    assert summary["rmsle"] == pytest.approx(math.sqrt((1 + 4) / 3))
    assert summary["share_of_hits"] == 1.0
    assert summary["bad_rows"] == {"count": 2, "reasons": {"no text": 2}}


def test_nothing_to_compare_gives_no_figure() -> None:
    summary = figures([{"price": None, "prediction": None}], [])
    assert summary["compared"] == 0
    for name in ("mean_absolute_error_dollars", "rmsle", "share_of_hits"):
        assert summary[name] is None


def test_only_the_most_frequent_reasons_are_listed() -> None:
    bad = [{"reason": f"price '{n}' is not a number"} for n in range(MAX_REASONS + 5)]
    bad_rows = figures([], [*bad, {"reason": "no text"}, {"reason": "no text"}])["bad_rows"]
    assert len(bad_rows["reasons"]) == MAX_REASONS and bad_rows["reasons"]["no text"] == 2
    assert bad_rows["count"] == MAX_REASONS + 7


PAIRS = [(100.0, 100.0), (100.0, 150.0), (100.0, 900.0), (200.0, 210.0)]
ROWS = [{"price": truth, "prediction": got} for truth, got in PAIRS]


def test_svg_has_a_point_a_row_in_its_color(tmp_path: Path) -> None:
    draw(ROWS, "$_^$ is no formula <&>", tmp_path / "picture", "svg")
    svg = "{http://www.w3.org/2000/svg}"
    root = ElementTree.parse(tmp_path / "picture").getroot()
    assert root.tag == f"{svg}svg"
    points = {group.get("id"): len(list(group.iter(f"{svg}use"))) for group in root.iter(f"{svg}g")}
    assert (points["green"], points["orange"], points["red"]) == (2, 1, 1)


def test_too_many_points_are_thinned_the_same_way_every_time(tmp_path: Path) -> None:
    rows = [{"price": float(n), "prediction": 1.0} for n in range(MAX_POINTS + 5)]
    for name in ("once", "again"):
        draw(rows, "many", tmp_path / name, "png")
    data = (tmp_path / "once").read_bytes()
    assert data == (tmp_path / "again").read_bytes()
    assert data.startswith(b"\x89PNG\r\n\x1a\n") and data.endswith(b"IEND\xaeB`\x82")
    draw([], "nothing", tmp_path / "none", "png")
    assert (tmp_path / "none").stat().st_size


def test_prices_that_go_on_behind_the_token_are_counted() -> None:
    rows = [{"number": n, "prediction": price} for n, price in ((0, 1.0), (1, 374.0), (2, 9.0))]
    checked = [
        Comparison(0, (16,), (16,), 1800.0),  # `1` of `1,800`
        Comparison(1, (19166,), (19166,), 374.0),
        Comparison(2, (24,), (25,), 99.0, gap=0.1, bound=1.0),  # a tie says nothing
    ]
    assert longer_prices(checked, rows) == 1
    summary: dict[str, Any] = {"seconds": 1.0, "rows_per_second": 3.0, "device": "cpu"}
    summary |= figures([{**row, "price": 1.0} for row in rows], [])
    lines = summary_lines(summary | {"check": {"rows": 3, "price_goes_on": 1}})
    assert "1 of 3 checked prices go on after the first token: use --method generate" in lines


def test_too_few_tokens_are_no_tie() -> None:
    assert not Comparison(0, (5,), (5, 6), None, gap=float("inf"), bound=1.0).tie

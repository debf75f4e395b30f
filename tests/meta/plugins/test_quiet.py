"""What a run prints: little under -q, nothing of ours under -qq, but problems always."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.harness.plugins.collection import Check
from tests.harness.plugins.results import Results
from tests.harness.plugins.summary import brief, table
from tests.harness.sources.fetch import relayed
from tests.meta.conftest import run_pytest

PRICES = ("tests/conformance/test_prices.py", "--models", "phi3")
MATRIX = "model x area: checks passed"


@pytest.mark.parametrize("quiet", [(), ("-q",), ("-qq",)])
def test_a_green_run(quiet: tuple[str, ...], bundle: dict[str, Path]) -> None:
    lines = run_pytest(*PRICES, *quiet).out.splitlines()
    ours = [line for line in lines if line.startswith(("conformance: ", "phi3")) or MATRIX in line]
    short = [line for line in lines if line == "model x area: 1 x 1, 0 with more than passes"]
    assert bool(ours) == (not quiet)
    assert len(short) == (quiet == ("-q",))
    assert len(lines) <= {(): 99, ("-q",): 3, ("-qq",): 2}[quiet]


@pytest.mark.parametrize("quiet", ["-q", "-qq"])
def test_a_red_run_says_what_is_red(quiet: str, model_copy: Callable[[str], Path]) -> None:
    folder = model_copy("phi3")
    path = folder / "tokenizer_config.json"
    path.write_text(path.read_text().replace('"padding_side": "left"', '"padding_side": "right"'))
    files = "tests/conformance/test_files.py"
    given = ("--models", "phi3", "--model-dir", f"phi3={folder}", "--gate")
    found = run_pytest(files, *given, "-k", "setting or no_file", quiet)
    assert "phi3: padding_side: got 'right', expected 'left'" in found.out
    assert ("phi3 files: 6 + 1 FAILED" in found.out) == (quiet == "-q")


def test_problems_are_always_printed() -> None:
    found = run_pytest(*PRICES, "-k", "no_such_test", "--gate", "-qq")
    assert found.code == 1
    assert "gate: nothing ran" in found.out


def test_brief_names_the_cells_with_more_than_passes() -> None:
    rows = [("phi3", "chat", "passed"), ("phi3", "tokens", "known"), ("qwen2", "tokens", "passed")]
    results = Results()
    for model, area, outcome in rows:
        node = f"{area} {model}"
        results.checks[node] = Check(model, area, "x", "conformance")
        results.outcomes[node] = outcome
    assert brief(table(results)) == [
        "phi3 tokens: 1 known",
        "model x area: 2 x 2, 1 with more than passes",
    ]
    assert brief(table(Results())) == []


def test_a_downloads_bars_are_thinned_and_its_words_passed_on() -> None:
    said: list[str] = []
    lines = ["phi3: fetching\n", *[f"model:  {it}%|##  | 1G/2G\n" for it in range(99)], "no room\n"]
    assert relayed(lines, said.append) == "no room"
    assert said == ["phi3: fetching", "no room"]

"""Times of calls: two real tokenizers in turns, one with slower calls, and the verdicts on them."""

import json
import math
import os
import random
import sys
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest

from tests.harness.environments import Environment
from tests.harness.latency.turns.granted import grant, two_pipes
from tests.harness.tokenizer.loaded import load_auto
from tests.tools.drift.observers.calls import calls_of, names_of
from tests.tools.drift.runner import Seen, Subject
from tests.tools.drift.times.pairs import DIFFERS, FAILS, Row, time_step, turns_of
from tests.tools.drift.times.timed import timed_rows
from tests.tools.drift.times.verdicts import LAYOUT, MARGIN, PAIRS, LeftOut, Times, Turns

KEY = "phi3"
WANTED = [
    *(["tokenize", "pieces"], ["batch_decode", "rows_of_ids"]),
    *(["special_tokens_map", "table_of_special_tokens"], ["decode", "list"]),
]
USES_DECODE = ["batch_decode rows_of_ids", "decode list"]
PLANTED = """
from transformers import PreTrainedTokenizerBase as base

decode = base.decode
base.decode = lambda *args, **given: [decode(*args, **given) for _ in range(2)][0]
"""


def twice(work: Callable[..., Any]) -> Callable[..., Any]:
    """The call, which takes twice as long on a busy machine, too."""

    def call(*arguments: Any, **given: Any) -> Any:
        work(*arguments, **given)
        return work(*arguments, **given)

    return call


def in_turns(autos: tuple[Any, Any], folder: Path) -> list[list[Row]]:
    """What two processes, forks of this one, each with its tokenizer, time of the wanted calls."""
    files = [folder / f"{side}.json" for side in (0, 1)]
    ours, theirs = zip(two_pipes(), two_pipes(), strict=True)

    def work(side: int) -> None:
        for pipe in (*theirs[1 - side], *ours[0], *ours[1]):
            os.close(pipe)
        files[side].write_text(json.dumps(timed_rows(autos[side], KEY, WANTED, theirs[side])))

    sides = [get_context("fork").Process(target=work, args=(side,)) for side in (0, 1)]
    for each in sides:
        each.start()
    for pipe in (*theirs[0], *theirs[1]):
        os.close(pipe)
    grant(ours, 0.2)
    for each in sides:
        each.join()
    for pipe in (*ours[0], *ours[1]):
        os.close(pipe)
    return [json.loads(file.read_text()) for file in files]


def named(turns: list[Turns]) -> list[str]:
    changes = Times.of(turns, [KEY], {}).changes
    return sorted(f"{one.call} {one.case}" for one in changes if one.word == "slower")


def test_slower_decode_is_named_with_what_uses_it_and_nothing_else(
    tmp_path: Path, bundle: dict[str, Path]
) -> None:
    autos = load_auto(bundle[KEY]), load_auto(bundle[KEY])
    vars(autos[1])["decode"] = twice(autos[1].decode)
    sides = [side for _ in range(2) for side in in_turns(autos, tmp_path)]
    turns = list(turns_of(KEY, sides, {}))
    assert len(turns) == len(WANTED)
    assert named(turns) == USES_DECODE
    (change,) = [one for one in Times.of(turns, [KEY], {}).changes if one.call == "decode"]
    assert 1.7 < change.ratio < 2.4


def test_call_that_cannot_be_repeated_is_left_out_alone(
    tmp_path: Path, bundle: dict[str, Path]
) -> None:
    autos = load_auto(bundle[KEY]), load_auto(bundle[KEY])
    used = []

    def once(*arguments: Any, **given: Any) -> Any:
        used.append(arguments)
        return autos[0].tokenize(*arguments, **given) if len(used) == 1 else 1 / 0

    vars(autos[1])["tokenize"] = once
    left_out: LeftOut = {}
    turns = list(turns_of(KEY, in_turns(autos, tmp_path), left_out))
    assert [one.call for one in turns] == [call for call, _ in WANTED if call != "tokenize"]
    assert left_out == {
        DIFFERS: [f"{KEY} tokenize {case}" for call, case in WANTED if call == "tokenize"]
    }


def test_names_are_those_of_the_calls(bundle: dict[str, Path]) -> None:
    auto = load_auto(bundle[KEY])
    assert [(call, case) for call, case, _ in calls_of(auto, KEY)] == names_of(KEY)


def drawn(draw: random.Random, factor: float) -> Turns:
    """A call's turns, as noisy as measured: a pair has its layout, one turn of ten a neighbour."""
    sides: tuple[list[Any], list[Any]] = ([], [])
    for _ in range(PAIRS):
        layout = draw.gauss(0, LAYOUT)
        for side, change in zip(sides, (0.0, math.log(factor) + layout), strict=True):
            noise = [draw.gauss(0, 0.2 if draw.random() < 0.1 else 0.04) for _ in range(9)]
            side.append([1e-5 * math.exp(change + each) for each in noise])
    return Turns(KEY, "encode", str(factor), *sides)


def test_sets_of_unchanged_calls_name_none_and_changes_are_found() -> None:
    draw, calls = random.Random(42), 70
    small = 1 + MARGIN / 2
    for factor in (1, small, 1 / small):
        sets = [[drawn(draw, factor).change(calls) for _ in range(calls)] for _ in range(20)]
        assert not any(filter(None, (one for each in sets for one in each)))
    for factor, word in ((1.3, "slower"), (1 / 1.3, "faster")):
        found = [drawn(draw, factor).change(calls) for _ in range(100)]
        assert sum(one is not None and one.word == word for one in found) >= 95


def step(calls: tuple[dict[str, Any], dict[str, Any]], pythons: list[Path], folder: Path) -> Times:
    """A step between versions of which this was observed."""
    sides = [
        Seen("1", "1", Subject({KEY: folder}, "auto"), "", Environment(python, {}))
        for python in pythons
    ]
    for side, observed in zip(sides, calls, strict=True):
        side.observed[KEY] = {"calls": observed}
    return time_step(sides[0], sides[1], [KEY], print)


def test_only_what_both_do_alike_is_timed(tmp_path: Path) -> None:
    """Here nothing is left, so no process is started, and the reasons are counted."""
    older = {"encode": {"encoded_pair": {"error": "no"}, "encoded_as_numpy": [1]}}
    newer = {"encode": {"encoded_pair": [1], "encoded_as_numpy": [2]}}
    times = step((older, newer), [tmp_path / "none"] * 2, tmp_path)
    counts = {reason: len(calls) for reason, calls in times.left_out.items()}
    assert counts == {FAILS: len(names_of(KEY)) - 1, DIFFERS: 1}
    assert not times.differ and times.timed == 0


def test_process_that_dies_is_told_and_no_pass(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho 'ImportError: planted'; exit 3\n")
    python.chmod(0o755)
    calls = {"encode": {"encoded_pair": [1]}}
    times = step((calls, calls), [python, python], tmp_path)
    assert times.differ
    assert str(times) == "times could not be taken: 1: ImportError: planted (exit 3)"


@pytest.mark.slow
def test_slower_decode_of_an_environment_is_named(tmp_path: Path, bundle: dict[str, Path]) -> None:
    """Real processes; and of an environment with itself nothing is named."""
    (tmp_path / "sitecustomize.py").write_text(PLANTED)
    planted = tmp_path / "python"
    planted.write_text(f'#!/bin/sh\nPYTHONPATH="{tmp_path}" exec "{sys.executable}" "$@"\n')
    planted.chmod(0o755)
    here, calls = Path(sys.executable), dict[str, Any]()
    for call, case in WANTED:
        calls.setdefault(call, {})[case] = "alike"
    same = step((calls, calls), [here, here], bundle[KEY])
    assert (same.timed, same.changes, same.problem) == (len(WANTED), (), "")
    times = step((calls, calls), [here, planted], bundle[KEY])
    assert sorted(f"{one.call} {one.case}" for one in times.changes) == USES_DECODE

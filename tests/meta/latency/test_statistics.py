"""The rule on values worked out by hand and on noise: it errs rarely and finds what is there."""

import random
import re
from math import comb, inf
from pathlib import Path
from typing import Any

import pytest

from tests.harness.data.registry import registry
from tests.harness.errors import DataError
from tests.harness.latency.calls import fixed_prompt
from tests.harness.latency.recording import FORMAT, Processes, Recording, Timed
from tests.harness.latency.roofline import forward_flops, least_seconds, weight_bytes_read
from tests.harness.latency.rounds import Paced
from tests.harness.latency.session import Comparison, LatencyRun, summary
from tests.harness.latency.spec import SPEC_FILE, read_spec
from tests.harness.latency.statistics import (
    count_orders,
    format_seconds,
    judge,
    lower_quartile,
    ratios_to_drop,
)
from tests.harness.latency.verdict import excuse_by_machine, pace_change
from tests.harness.plugins.tokenizers import tokenizers_of
from tests.meta.conftest import PROJECT

RULE = read_spec().rule
SIX = [1.00, 1.01, 1.02, 1.03, 1.04, 1.05]


def times(factor: float) -> list[float]:
    """The six processes, that much slower."""
    return [factor * seconds for seconds in SIX]


def test_orders_are_counted_exactly() -> None:
    """Of two and two, one order of six has 0 inversions, one 1, two 2, one 3, one 4."""
    assert [count_orders(2, 2, number) for number in range(5)] == [1, 1, 2, 1, 1]
    assert sum(count_orders(6, 6, number) for number in range(37)) == comb(12, 6)


@pytest.mark.parametrize(("processes", "dropped"), [(3, -1), (4, -1), (5, 0), (6, 2), (7, 4)])
def test_as_many_ratios_are_dropped_as_the_table_says(processes: int, dropped: int) -> None:
    """Mann and Whitney's critical values, two-sided 0.01, as printed in statistics books."""
    assert ratios_to_drop(processes, processes, 0.99) == dropped


def test_lower_quartile_of_five_is_the_second() -> None:
    assert lower_quartile([5.0, 1.0, 2.0, 4.0, 3.0]) == 2.0
    assert lower_quartile([7.0]) == 7.0


@pytest.mark.parametrize(
    ("factor", "word"),
    [(1.0, "PASS"), (0.5, "PASS"), (1.04, "INCONCLUSIVE"), (1.07, "FAIL"), (2.0, "FAIL")],
)
def test_verdicts(factor: float, word: str) -> None:
    assert judge(SIX, times(factor), RULE).word == word


def test_interval_by_hand() -> None:
    """Of 36 ratios the third from either end: by hand for a doubled second set."""
    ratios = sorted(2 * new / old - 1 for new in SIX for old in SIX)
    verdict = judge(SIX, times(2.0), RULE)
    assert (verdict.low, verdict.high) == (ratios[2], ratios[-3])
    assert str(verdict) == "+100 %, interval +92..+108"


def test_too_few_processes_and_a_single_disturbed_one_decide_nothing() -> None:
    verdict = judge(SIX[:4], times(3.0)[:4], RULE)
    assert (verdict.word, verdict.low, verdict.high) == ("INCONCLUSIVE", -inf, inf)
    assert judge(SIX, [*SIX[:5], 9.0], RULE).word != "FAIL"


@pytest.mark.parametrize(
    ("slow_down", "machine", "excuse"),
    [
        (2.0, 1.0, ""),
        (2.0, 0.5, ""),
        (2.0, 1.5, "; the machine itself is slower: cuda: copy +50 %, interval +44..+56"),
        (1.0, 1.5, ""),
        (1.0, 0.5, "; the machine itself is faster: cuda: copy -50 %, interval -52..-48"),
    ],
)
def test_machine_that_moved_makes_a_verdict_worthless(
    slow_down: float, machine: float, excuse: str
) -> None:
    before: dict[str, Processes] = {"cuda: copy": tuple((seconds,) for seconds in SIX)}
    now: dict[str, Processes] = {"cuda: copy": tuple((machine * seconds,) for seconds in SIX)}
    run, baseline = LatencyRun(RULE, False, 1, controls=now), Recording(FORMAT, {}, {}, before)
    verdict = judge(SIX, times(slow_down), RULE)
    assert excuse_by_machine(run, baseline, "cuda", verdict) == excuse
    assert excuse_by_machine(run, baseline, "cpu", verdict) == ""


def test_pace_is_left_out() -> None:
    """A machine of half the speed: rounds and the work beside them take twice as long."""
    rounds, pace = ((0.2, 0.3, 0.4),) * 6, ((0.1, 0.1, 0.2),) * 6
    once = Timed({}, rounds, pace)
    slow = Timed({}, tuple((0.4, 0.6, 0.8) for _ in rounds), tuple((0.2, 0.2, 0.4) for _ in pace))
    assert once.figures() == pytest.approx([2.0] * 6)  # the median of 2, 3 and 2
    assert judge(once.figures(), slow.figures(), RULE).change == pytest.approx(0)
    bare, later = (Timed({}, timed.seconds).figures() for timed in (once, slow))
    assert bare == pytest.approx([0.25] * 6)  # the lower quartile of 0.2, 0.3 and 0.4
    assert judge(bare, later, RULE).word == "FAIL"
    assert pace_change(once, slow) == ", the machine's own pace +100 % left out"


def test_every_round_has_the_pace_beside_it() -> None:
    """Of three warm-ups and two rounds: before the fourth, between, and after the fifth."""
    paced, ready = Paced(lambda: [7], lambda: ready.append(1)), list[int]()
    for _ in range(5):
        paced.before()
        assert paced() == [7]
    before, between = paced.work[3:5]
    ((first, second),) = paced.end(2)
    assert len(ready) == 5
    assert first == (before + between) / 2
    assert second == (between + paced.work[5]) / 2
    assert min(paced.work) > 0


def noise(generator: random.Random, factor: float) -> list[float]:
    """Figures of processes that differ by 2 %, rounds by 5 %, every tenth round held up."""
    figures = []
    for _ in range(RULE.processes):
        base = factor * generator.lognormvariate(0, 0.02)
        rounds = [base * generator.lognormvariate(0, 0.05) for _ in range(20)]
        held_up = [seconds * (1.5 if generator.random() < 0.1 else 1) for seconds in rounds]
        figures.append(lower_quartile(held_up))
    return figures


@pytest.mark.parametrize(
    ("factor", "least", "most"), [(1.0, 0, 2), (1.1, 190, 200)], ids=["unchanged", "ten_percent"]
)
def test_two_hundred_comparisons_of_noise(factor: float, least: int, most: int) -> None:
    generator = random.Random(42)
    words = [judge(noise(generator, 1.0), noise(generator, factor), RULE).word for _ in range(200)]
    assert least <= words.count("FAIL") <= most


def test_roofline_by_hand() -> None:
    """Llama-3.1-8B: 6,979,321,856 weights in its layers, a head of 525,336,576."""
    llama = registry()["llama3_1"]
    layers, head = 6_979_321_856, 525_336_576
    attention = 4 * 32 * 4096 * (2 * 3 // 2)  # two tokens: three pairs
    assert forward_flops(llama, 1, 2) == 2 * 2 * layers + 2 * head + attention
    assert weight_bytes_read(llama, "bf16") == 2 * (layers + head) + 2 * 266_240
    one = least_seconds(llama, "bf16", 1, 2, 1, (1e30, 1e12))
    assert one == pytest.approx(weight_bytes_read(llama, "bf16") / 1e12)
    assert least_seconds(llama, "bf16", 1, 2, 4, (1e30, 1e12)) == pytest.approx(4 * one)


def test_times_are_written_in_the_unit_that_fits() -> None:
    written = [format_seconds(seconds) for seconds in (2.5, 0.0612, 0.0000048)]
    assert written == ["2.5 s", "61.2 ms", "4.8 us"]


def test_quiet_summary_leaves_out_passes_and_what_was_not_compared() -> None:
    run = LatencyRun(RULE, False, 1)
    words: list[Any] = ["PASS", "FAIL", "INCONCLUSIVE", "refused"]
    run.own = {name: Timed({}, ((0.01,),)) for name in (*words, "alone")}
    run.comparisons = {word: Comparison(word, "(+4 %)") for word in words}
    assert [line.split()[0] for line in summary(run, quiet=True)] == words[1:]
    assert [line.split()[0] for line in summary(run, quiet=False)] == list(run.own)
    assert summary(run, quiet=True)[0].split() == [
        "FAIL",
        "10",
        "ms",
        "+-0",
        "%",
        "FAIL",
        "(+4",
        "%)",
    ]


def test_summary_has_a_line_for_what_the_task_asks() -> None:
    """Of rounds of 9, 10, 11, 12 and 13 ms the quartiles are 10 and 12; four tokens in 11 ms."""
    run = LatencyRun(RULE, False, 1)
    rounds = ((0.009, 0.010, 0.011, 0.012, 0.013),)
    run.own = {"test_predict": Timed({"new_tokens": 4, "batch": 1, "prompt_tokens": 48}, rounds)}
    run.own["test_encode_prompt"] = Timed({"tokens": 180}, rounds)
    run.memory = {"test_predict": 1_500_000_000}
    lines = [" ".join(line.split()) for line in summary(run, quiet=False)]
    assert lines == [
        "test_predict 11 ms +-9 % 364 tokens/s 1.5 GB",
        "test_encode_prompt 11 ms +-9 % 16,364 tokens/s",
    ]


@pytest.mark.parametrize("tokens", [48, 180])
def test_fixed_prompts_have_exactly_so_many_tokens(
    tokens: int, pytestconfig: pytest.Config
) -> None:
    for loaded in tokenizers_of(pytestconfig).values():
        prompts = {fixed_prompt(loaded.transformers, tokens, start) for start in range(8)}
        assert len(prompts) == 8
        assert {len(loaded.transformers.encode(prompt)) for prompt in prompts} == {tokens}


def test_a_length_nobody_can_meet_is_refused(pytestconfig: pytest.Config) -> None:
    with pytest.raises(ValueError, match="exactly 3 tokens"):
        fixed_prompt(tokenizers_of(pytestconfig)["phi3"].transformers, 3)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[rule]\n", "[rules]\n", "[rule] is missing"),
        ("margin = 0.05", "margin = 5", "[rule] margin:"),
        ("rounds = { cpu = 600 }", "rounds = { cpu = 0 }", "[encode_prompt] rounds.cpu"),
        ("rounds = { cpu = 6, cuda = 3 }", "rounds = { cpu = 6 }", "no number for cuda"),
        ("[rule]", "[rule", "line "),
    ],
)
def test_bad_data_is_named(old: str, new: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "fixtures" / SPEC_FILE.name
    path.parent.mkdir()
    text = SPEC_FILE.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(DataError, match=rf"^fixtures/{path.name}: .*{re.escape(message)}"):
        read_spec(path)


def test_readme_says_the_rule() -> None:
    readme = (PROJECT / "README.md").read_text(encoding="utf-8")
    assert f"({RULE.processes} for the two above, else 1)" in readme
    assert f"slower by {100 * RULE.margin:.0f} %" in readme
    assert f"the {100 * RULE.confidence:.0f} % interval" in readme


def test_rule_wants_enough_processes_for_its_confidence() -> None:
    assert ratios_to_drop(RULE.processes, RULE.processes, RULE.confidence) >= 0

"""Two environments in turns: the turns themselves, and real comparisons of the real suite."""

import os
import subprocess
import sys
import threading
import time
from itertools import groupby, pairwise
from pathlib import Path
from threading import Thread

import pytest

from tests.harness.errors import AssetError
from tests.harness.latency.spec import selected
from tests.harness.latency.turns.granted import TURN, Pipes, Turned, grant, two_pipes, unhindered
from tests.meta.conftest import Run, copy_project, run_anew
from tests.tools.latency.__main__ import main
from tests.tools.latency.sides import Side, here, take_turns

ENCODE, RENDER = "test_encode_prompt[phi3]", "test_render_conversation[phi3]"
# Rendering takes three times as long where this plugin is, and every time: nothing is remembered.
SLOW = """
def pytest_collection_finish(session):
    from transformers import PreTrainedTokenizerBase as base

    render = base.apply_chat_template
    base.apply_chat_template = lambda *args, **given: [render(*args, **given) for _ in range(3)][0]
"""


Both = list[tuple[Pipes, Pipes]]  # of two sides: the granting process's ends, and the side's


def turns_of(name: str, benchmarks: int, seconds: float, pipes: Pipes, log: list[str]) -> None:
    """What a side does: turns of a call, each noted with the side's name, in each benchmark."""

    def call() -> None:
        log.append(name)
        time.sleep(seconds)

    try:
        for _ in range(benchmarks):
            _, times = Turned(call, None, *pipes).measure(warmup=1)
            assert min(times) > 0.9 * seconds
            log.append("|")
    finally:
        for pipe in pipes:
            os.close(pipe)


@pytest.fixture
def pipes() -> Both:
    """The pipes of two sides; both ends are closed by who uses them."""
    return [two_pipes(), two_pipes()]


def run_sides(pipes: Both, benchmarks: tuple[int, int], seconds: float, granted: float) -> str:
    """The order of the calls of two sides, `a` and `b`."""
    log: list[str] = []
    sides = [
        Thread(target=turns_of, args=(name, number, seconds, own, log))
        for name, number, (_, own) in zip("ab", benchmarks, pipes, strict=True)
    ]
    for side in sides:
        side.start()
    grant([granting for granting, _ in pipes], granted)
    for granting, _ in pipes:
        for pipe in granting:
            os.close(pipe)  # as whoever granted the turns does; who waits for one ends
    for side in sides:
        side.join()
    return "".join(log)


def test_turns_alternate_in_the_order_there_here_here_there(pipes: Both) -> None:
    order = run_sides(pipes, (1, 1), TURN, 0)
    assert order[2:] == "abbaabba||"  # the first call of each only tells how long one takes


def test_turns_end_with_the_time(pipes: Both) -> None:
    order = run_sides(pipes, (1, 1), TURN, 20 * TURN)
    assert 8 <= order.count("a") + order.count("b") - 2 < 24


def test_short_calls_share_a_turn(pipes: Both) -> None:
    order = run_sides(pipes, (1, 1), TURN / 10, 0)[2:].rstrip("|")
    assert [len(list(turn)) > 1 for _, turn in groupby(order)] == 5 * [True], order


def test_a_side_that_ends_early_ends_the_turns(
    pipes: Both, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its code says why; the other is told by its closed pipe."""
    raised: list[object] = []
    monkeypatch.setattr(threading, "excepthook", lambda caught: raised.append(caught.exc_type))
    order = run_sides(pipes, (1, 2), TURN, 0)
    assert order.count("|") == 2
    assert raised in ([EOFError], [BrokenPipeError])


def test_clock_stands_still_while_others_have_the_core_not_in_sleep() -> None:
    """Beside a busy process on the same core a loop takes twice as long, and no longer by it.

    Nor does any part of it take less than no time.
    """
    if not Path("/proc/thread-self/schedstat").exists():
        pytest.skip("this system does not count how long a thread waits for a core")
    started = unhindered()
    time.sleep(0.2)
    assert unhindered() - started > 0.19
    cores = os.sched_getaffinity(0)
    busy = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        for process in (0, busy.pid):
            os.sched_setaffinity(process, {min(cores)})
        wall, clock = time.perf_counter(), [unhindered()]
        while time.perf_counter() - wall < 1:
            clock.append(unhindered())
        assert clock[-1] - clock[0] < 0.8
        assert sorted(new - old for old, new in pairwise(clock))[-5] < 0.003
        assert clock == sorted(clock)
    finally:
        os.sched_setaffinity(0, cores)
        busy.kill()
        busy.wait()


def test_everyday_benchmarks_are_the_tasks_on_its_first_load_and_batch() -> None:
    names = (
        *(f"test_predict[smollm2-cpu-{load}]" for load in ("nf4", "bf16")),
        *(f"test_predict_batch[smollm2-cpu-nf4-{batch}]" for batch in (8, 32)),
        *("test_predict[llama3_1-cuda-nf4]", "test_first_token[smollm2-cpu-nf4]"),
        *(
            "test_encode_prompt[smollm2]",
            "test_encode_prompt[phi3]",
            "test_load_tokenizer[smollm2]",
        ),
    )
    nodes = [f"tests/benchmarks/test_x.py::{name}" for name in names]
    assert list(selected(nodes, "cpu", everyday=True)) == [names[0], names[2], names[6]]
    assert list(selected(nodes, "cuda", everyday=True)) == [names[4]]
    assert list(selected(nodes, "cpu", everyday=False)) == [*names[:4], *names[5:]]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("", "give what to compare with: --against transformers==5.20.2"),
        ("--against a==1 --against-python b", "names one: give one"),
        ("--against-checkout . --budget 0", "--budget 0.0: give minutes above 0"),
        ("--against transformers>=5", "give NAME==VERSION: transformers==5.20.2"),
        ("--against-python /no/python", "/no/python: not a program"),
        ("--against-python /dev", "/dev: not a program"),
        ("--against-checkout . --save /no/pairs.json", "--save /no/pairs.json: cannot be written"),
        ("--against-checkout /dev", "/dev: has no tests/benchmarks; give a checkout"),
    ],
)
def test_wrong_option_is_one_line(
    arguments: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises((SystemExit, Exception)) as caught:
        main(arguments.split())
    assert message in (capsys.readouterr().err.splitlines() or [str(caught.value)])[-1]


def test_side_that_ended_first_is_the_cause(tmp_path: Path) -> None:
    """The other one says only that its turns ended."""
    sides = []
    for name, script in (
        ("lonely", "sleep 1; echo 'E   BrokenPipeError: [Errno 32]'; exit 1"),
        ("silent", "exit 0"),
    ):
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
        sides.append(Side(name, tmp_path / name, tmp_path))
    for order in (sides, sides[::-1]):
        with pytest.raises(AssetError, match=r"^silent: pytest said nothing$"):
            take_turns(order, ["x"], [], tmp_path / "scratch", 0)


def test_a_benchmark_that_fails_says_why(tmp_path: Path) -> None:
    """Also where no `E` of a traceback says it, and the test's name is as long as a terminal."""
    nodes = [f"tests/benchmarks/test_tokenizer_latency.py::{RENDER}"]
    given = ["--models", "phi3", "--benchmark-disable"]
    with pytest.raises(AssetError, match=r"^here: FAILED .* nothing is timed under --benchmark-"):
        take_turns([here(), here()], nodes, given, tmp_path, 0)


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A comparison in which rendering here takes three times as long as there."""
    folder = tmp_path_factory.mktemp("turns")
    (folder / "planted.py").write_text(SLOW)
    there = folder / "python"
    there.write_text(f'#!/bin/sh\nunset PYTEST_PLUGINS\nexec "{sys.executable}" "$@"\n')
    there.chmod(0o755)
    project = copy_project(folder / "project")
    spec = project / "fixtures" / "benchmarks.toml"
    text = spec.read_text(encoding="utf-8")
    spec.write_text(text.replace("looks = [4, ", "looks = [2, 4, "), encoding="utf-8")
    options = ("--models", "phi3", "--against-python", str(there), "--budget", "8")
    planted = {"PYTEST_PLUGINS": "planted", "PYTHONPATH": str(folder)}
    return run_anew("tests.tools.latency", *options, cwd=project, **planted)


@pytest.mark.slow
def test_slower_path_is_found_and_nothing_else(compared: Run) -> None:
    assert compared.code == 1, compared.out
    lines = [line.split() for line in compared.out.splitlines()]
    assert ["FAIL", RENDER] in [line[:2] for line in lines]
    assert ["FAIL", ENCODE] not in [line[:2] for line in lines]
    assert "python -> here: no version of a library" in compared.out


@pytest.mark.slow
def test_side_that_cannot_run_is_one_line(tmp_path: Path) -> None:
    broken = tmp_path / "python"
    broken.write_text(f'#!/bin/sh\nexec "{sys.executable}" -c "raise SystemExit(\'no\')"\n')
    broken.chmod(0o755)
    run = run_anew("tests.tools.latency", "--models", "phi3", "--against-python", str(broken))
    assert run.code == 2
    assert run.out.splitlines()[-1] == f"{broken}: no"

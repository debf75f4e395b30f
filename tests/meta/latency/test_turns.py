"""Two environments in turns: the turns themselves, and real comparisons of the real suite."""

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest

from tests.harness.latency.rounds import TURN, Turned, grant
from tests.meta.conftest import Run, copy_project, run_anew
from tests.tools.latency.__main__ import main
from tests.tools.latency.selection import selected

ENCODE, RENDER = "test_encode_prompt[phi3]", "test_render_conversation[phi3]"
# Encoding takes three times as long where this plugin is.
SLOW = """
def pytest_collection_finish(session):
    from transformers import PreTrainedTokenizerBase as base

    encode = base.encode
    base.encode = lambda *args, **given: [encode(*args, **given) for _ in range(3)][0]
"""


Pipes = tuple[int, int]  # to read and to write
Both = list[tuple[Pipes, Pipes]]  # of two sides: the granting process's ends, and the side's


def rounds_of(name: str, number: int, seconds: float, pipes: Pipes, log: list[str]) -> None:
    """What a benchmark does: rounds of a call, each noted with the side's name."""

    def call() -> None:
        log.append(name)
        time.sleep(seconds)

    turned = Turned(call, None, *pipes)
    for _ in range(number):
        turned.before()
        turned()
    turned.end(number)
    for pipe in pipes:
        os.close(pipe)


@pytest.fixture
def pipes() -> Iterator[Both]:
    """The pipes of two sides; these close their own ends."""
    made = []
    for _ in range(2):
        receive, sides_send = os.pipe()
        sides_receive, send = os.pipe()
        made.append(((receive, send), (sides_receive, sides_send)))
    yield made
    for (receive, send), _ in made:
        os.close(receive)
        os.close(send)


def run_sides(pipes: Both, numbers: tuple[int, int], seconds: float) -> str:
    """The order of the rounds of two sides, `a` and `b`."""
    log: list[str] = []
    sides = [
        Thread(target=rounds_of, args=(name, number, seconds, own, log))
        for name, number, (_, own) in zip("ab", numbers, pipes, strict=True)
    ]
    for side in sides:
        side.start()
    grant([granting for granting, _ in pipes])
    for side in sides:
        side.join()
    return "".join(log)


def test_long_rounds_alternate_in_the_order_there_here_here_there(pipes: Both) -> None:
    assert run_sides(pipes, (4, 4), TURN) == "abbaabba"


def test_short_rounds_share_a_turn(pipes: Both) -> None:
    order = run_sides(pipes, (60, 60), TURN / 20)
    assert order.count("a") == order.count("b") == 60
    # Twenty fit a turn, and two turns follow each other; on a busy machine fewer do.
    assert 3 <= order.count("ab") + order.count("ba") < 60


def test_a_side_that_has_more_rounds_ends_them_alone(pipes: Both) -> None:
    assert run_sides(pipes, (1, 3), TURN) == "abbb"


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
        ("--against-checkout /dev", "/dev: has no tests/benchmarks; give a checkout"),
    ],
)
def test_wrong_option_is_one_line(
    arguments: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises((SystemExit, Exception)) as caught:
        main(arguments.split())
    assert message in (capsys.readouterr().err.splitlines() or [str(caught.value)])[-1]


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A comparison in which encoding here takes three times as long as there."""
    folder = tmp_path_factory.mktemp("turns")
    (folder / "planted.py").write_text(SLOW)
    there = folder / "python"
    there.write_text(f'#!/bin/sh\nunset PYTEST_PLUGINS\nexec "{sys.executable}" "$@"\n')
    there.chmod(0o755)
    project = copy_project(folder / "project")
    spec = project / "fixtures" / "benchmarks.toml"
    text = spec.read_text(encoding="utf-8").replace("cpu = 600", "cpu = 100")
    spec.write_text(text.replace("looks = [5, ", "looks = [3, "), encoding="utf-8")
    options = ("--models", "phi3", "--against-python", str(there), "--budget", "3")
    planted = {"PYTEST_PLUGINS": "planted", "PYTHONPATH": str(folder)}
    return run_anew("tests.tools.latency", *options, cwd=project, **planted)


@pytest.mark.slow
def test_slower_path_is_found_and_nothing_else(compared: Run) -> None:
    assert compared.code == 1, compared.out
    lines = [line.split() for line in compared.out.splitlines()]
    assert ["FAIL", ENCODE] in [line[:2] for line in lines]
    assert ["FAIL", RENDER] not in [line[:2] for line in lines]
    assert "python -> here: no version of a library" in compared.out


@pytest.mark.slow
def test_side_that_cannot_run_is_one_line(tmp_path: Path) -> None:
    broken = tmp_path / "python"
    broken.write_text(f'#!/bin/sh\nexec "{sys.executable}" -c "raise SystemExit(\'no\')"\n')
    broken.chmod(0o755)
    run = run_anew("tests.tools.latency", "--models", "phi3", "--against-python", str(broken))
    assert run.code == 2
    assert run.out.splitlines()[-1] == f"{broken}: no"

"""vLLM itself, where its environment is: sound, and behind a proxy that does what is known."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.harness.data.engines import engines
from tests.harness.engines.starting import Process, start_apart
from tests.harness.environments import engine_folder
from tests.meta.conftest import Run, run_pytest
from tests.meta.faults.patches.serving.proxy import Proxy

pytestmark = pytest.mark.slow
ENGINE, MODEL = engines()["vllm"], "llama3_1_instruct"
Change = Callable[[str, Any], Any]


@pytest.fixture(scope="module")
def server(bundle: dict[str, Path]) -> Iterator[Process]:
    """It serves Llama-3.1-Instruct."""
    home = engine_folder(ENGINE)
    if not home.is_dir():
        pytest.skip("needs vLLM: python -m tests.tools.engines.install vllm")
    started = start_apart(ENGINE, MODEL, bundle[MODEL], home)
    yield started
    started.close()


def run_behind(server: Process, asked: Change, answered: Change) -> Run:
    """A run that asks the server through a proxy, and tells it for vLLM."""
    proxy = Proxy(server, asked, answered)
    given = ("--models", MODEL, "--endpoint", f"{MODEL}={proxy.listening_address}")
    return run_pytest("tests/serving/test_endpoint.py", *given, "-q")


def unchanged(_: str, content: Any) -> Any:
    """As it is."""
    return content


def test_sound_server_passes(server: Process) -> None:
    run = run_behind(server, unchanged, unchanged)
    assert run.code == 0, run.out[-2000:]
    assert "4 passed" in run.out


def without(role: str) -> Change:
    """Messages of a role that do not arrive."""

    def asked(_: str, body: Any) -> Any:
        kept = [m for m in body.get("messages", ()) if m["role"] != role]
        return {**body, "messages": kept} if kept else body

    return asked


def with_bos(_: str, answer: Any) -> Any:
    """Ids that begin with one BOS more."""
    if answer.get("tokens"):
        answer["tokens"], answer["count"] = [128000, *answer["tokens"]], answer["count"] + 1
    return answer


# What changes requests, what changes answers, and how a failure's first line begins and ends.
FAULTS: dict[str, tuple[Change, Change, str, str]] = {
    "functions_dropped": (
        lambda _, body: {name: value for name, value in body.items() if name != "tools"},
        unchanged,
        " vLLM renders ",
        "likely cause: the engine drops the functions",
    ),
    "system_dropped": (
        without("system"),
        unchanged,
        " counts ",
        "likely cause: the counts look like the system message dropped",
    ),
    "answer_is_closed": (
        lambda _, body: {n: v for n, v in body.items() if n != "continue_final_message"},
        unchanged,
        "turns.continue_final_message: vLLM renders ",
        "likely cause: how the engine continues an answer",
    ),
    "bos_twice": (
        unchanged,
        with_bos,
        " vLLM ids: position 1 is 128000 '<|begin_of_text|>', tokenizer.json has ",
        "the engine puts one BOS more in front",
    ),
    "bos_lost": (
        lambda _, body: {**body, "add_special_tokens": False} if "prompt" in body else body,
        unchanged,
        " vLLM ids: position 0 is ",
        "the engine puts no BOS in front",
    ),
    "count_of_another": (
        unchanged,
        lambda _, answer: {**answer, "count": answer["count"] + 1} if "count" in answer else answer,
        " counts ",
        "likely cause: the counts look like BOS twice, or another token more",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_fault_in_front_is_named(name: str, server: Process) -> None:
    asked, answered, begins, ends = FAULTS[name]
    run = run_behind(server, asked, answered)
    assert run.code == 1, run.out[-2000:]
    lines = [line for line in run.out.splitlines() if line.startswith(f"{MODEL} ")]
    assert any(begins in line and ends in line for line in lines), "\n".join(lines)

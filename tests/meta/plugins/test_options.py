"""Options and commands: what each says of itself, what a mistake is answered with, how they end."""

import os
import re
import subprocess
import sys
from typing import Any
from unittest.mock import Mock

import pytest

from tests.harness.console import exit_status
from tests.harness.data.registry import default_keys, registry
from tests.harness.errors import AssetError, DataError
from tests.harness.sources.folders import chosen_models, parse_directories
from tests.meta.conftest import PROJECT, run_pytest

COMMANDS = {
    "tests.tools.fetch": "--source",
    "tests.tools.budget": "DATA",
    "tests.tools.doctor": "SUBJECT",
    "tests.tools.explore": "TEXT",
    "tests.tools.drift": "VERSION",
    "tests.tools.sweep": "--load",
    "tests.meta.faults": "--only",
}


def options_in(text: str) -> dict[str, str]:
    """Option to what is said of it, on one line."""
    parts = re.split(r"^  (?=-)", text, flags=re.MULTILINE)[1:]
    lines = [" ".join(part.partition("\n\n")[0].split()) for part in parts]
    return {line.split("=")[0].split()[0].rstrip(","): line for line in lines}


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """One of our commands."""
    command = [sys.executable, "-m", *arguments]
    wide = os.environ | {"COLUMNS": "200"}
    return subprocess.run(
        command, cwd=PROJECT, env=wide, capture_output=True, text=True, check=False
    )


def test_every_option_of_pytest_has_a_sentence_and_its_default() -> None:
    """They stand in one group; what is not there looks like an option of pytest's own."""
    group = run_pytest("--help").out.partition("model conformance:")[2].partition("\n\n")[0]
    options = options_in(group)
    ours = {"--source", "--model-dir", "--weights", "--models", "--gate", "--snapshot-prune"}
    assert ours | {"--latency-save", "--latency-baseline", "--latency-processes"} <= set(options)
    for option, line in options.items():
        said = re.search(r"(?<=[ ])[a-zA-Z(][^=]* \(default: .+\)$", line)
        assert said and len(said[0].split()) > 4, f"{option}: no sentence with its default: {line}"
    assert "--snapshot-update" in group, "users look for it here, though it is syrupy's"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_of_a_command_has_its_default(command: str) -> None:
    done = run(command, "--help")
    assert done.returncode == 0
    assert COMMANDS[command] in done.stdout
    options = options_in(done.stdout)
    del options["-h"]
    needed = set(re.findall(r" (--[a-z-]+) ", re.sub(r"\[.*?\]", "", done.stdout.split("\n\n")[0])))
    for option in set(options) - needed:
        assert re.search(r"\(default: .+\)$", options[option]), options[option]


def test_models_are_taken_apart_as_users_write_them() -> None:
    assert chosen_models(None) == default_keys()
    assert chosen_models("all") == list(registry())
    assert chosen_models("phi3,all") == chosen_models("all")
    assert set(registry()) - set(default_keys()) >= {"qwen3", "llama3_2"}
    assert chosen_models(" qwen2 , llama3_1,, qwen2") == ["qwen2", "llama3_1"]


WRONG = {
    "lama3_1": "lama3_1: did you mean llama3_1? ",
    "PHI3": "PHI3: did you mean phi3? ",
    "gpt2-xl": "gpt2-xl: ",
    " ,": "' ,': ",
}


@pytest.mark.parametrize("text", WRONG)
def test_a_wrong_model_is_answered_with_the_nearest(text: str) -> None:
    with pytest.raises(AssetError) as caught:
        chosen_models(text)
    assert str(caught.value) == f"--models {WRONG[text]}allowed are all, {', '.join(registry())}"


@pytest.mark.parametrize("option", ["phi3", "phi3=", "phi4=.", "=."])
def test_model_dir_is_key_and_folder(option: str) -> None:
    refused = r"^--model-dir [^\n]*: write KEY=DIR; [^\n]*allowed are [^\n]*$"
    with pytest.raises(AssetError, match=refused):
        parse_directories([option])


MISTAKES = {
    ("--models=",): "ERROR: --models '': allowed are all, llama3_1, ",
    ("--model-dir", "phi3=/no/folder"): "ERROR: --model-dir phi3=/no/folder: there is no tok",
    ("--model-dir", "lama3_1=x"): "write KEY=DIR; did you mean llama3_1? allowed are llama3_1, ",
    ("--weights", "lama3_1=dummy"): "did you mean llama3_1? write auto, hub, dummy",
    ("--weights", "dumy"): "did you mean dummy? write auto, hub, dummy",
    ("--adapter", "phi3=x"): "--adapter phi3=x: write KEY=DIR; allowed are llama3_1, smollm2",
    ("tests/serving", "--engine", ""): "ERROR: --engine '': allowed are vllm\n",
    ("tests/serving", "--engine", "vlm"): (
        "ERROR: --engine vlm: did you mean vllm? allowed are vllm\n"
    ),
    ("tests/serving", "--engine", "llama_cpp"): ("ERROR: --engine llama_cpp: allowed are vllm\n"),
    ("--source", "hup"): "invalid choice: 'hup' (choose from 'bundle', 'hub')",
    ("--model", "phi3"): "options of this suite: --source, --model-dir, --weights, --models",
    ("--gates",): "pytest: error: unrecognized arguments: --gates",
}


@pytest.mark.parametrize("options", MISTAKES)
def test_a_mistake_names_what_is_near(options: tuple[str, ...]) -> None:
    found = run_pytest(*options)
    assert found.code == 4
    assert MISTAKES[options] in found.out
    assert "Traceback" not in found.out


def test_collected_selected_and_run_are_one_count() -> None:
    """StarCoder2 has no template, so that many tests do not concern it; the header stands once."""
    chosen = ("tests/conformance/test_labels.py", "--models", "starcoder2")
    collected = run_pytest("--collect-only", "-q", *chosen).out
    nodes = [line for line in collected.splitlines() if "::" in line]
    assert f"{len(nodes)} tests collected" in collected
    run = run_pytest(*chosen, "-k", "training_cut or prompt_ids_begin_the_text")
    (line,) = re.findall(r"collected (\d+) items(?: / (\d+) deselected)? / (\d+) selected", run.out)
    total, deselected, selected = map(int, line)
    assert (total, total - deselected) == (len(nodes), selected)
    assert f"{selected} passed, {deselected} deselected" in run.out, run.out[-2000:]
    header = [line for line in run.out.splitlines() if line.startswith("conformance:")]
    assert len(header) == len(set(header)) == 6


def test_models_narrow() -> None:
    out = run_pytest("--collect-only", "-q", "--models", " llama3_1,qwen2").out
    nodes = re.findall(r"\[(\w+?)(?:-|\])", out)
    assert set(nodes) == {"llama3_1", "qwen2"}


@pytest.mark.parametrize(
    ("outcome", "status"),
    [
        (None, 0),
        (1, 1),
        (AssetError("planted"), 2),
        (DataError("planted"), 2),
        (KeyboardInterrupt(), 130),
    ],
    ids=repr,
)
def test_commands_end_alike(outcome: Any, status: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_status(Mock(side_effect=[outcome])) == status
    assert len(capsys.readouterr().err.splitlines()) == (status > 1), "one line if it could not run"


@pytest.mark.parametrize(
    "arguments",
    [
        ("tests.tools.fetch", "phi4"),
        ("tests.tools.fetch", "--sauce"),
        ("tests.tools.budget", "no_such_file.jsonl"),
        ("tests.tools.doctor", "gpus"),
        ("tests.tools.drift", "5.0.0"),
        ("tests.tools.sweep", "no_such_file.jsonl", "--out", "x", "--model", "phi4"),
        ("tests.meta.faults", "--only", "nothing"),
        ("tests.tools.measure.budget_speed", "--sauce"),
    ],
    ids=" ".join,
)
def test_wrong_use_is_status_2_and_no_traceback(arguments: tuple[str, ...]) -> None:
    done = run(*arguments)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_every_command_of_ours_ends_through_it() -> None:
    """Those with their own last words apart; a new one is not forgotten."""
    own = {"sweep/__main__.py", "tools/doctor.py"}
    for path in sorted((PROJECT / "tests").rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        if 'prog="python -m' in text and '__name__ == "__main__"' in text:
            name = f"{path.parent.name}/{path.name}"
            assert name in own or "exit_status(main)" in text, path

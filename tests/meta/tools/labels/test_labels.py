"""What a trainer makes of rows: judged by hand-made labels, and of real versions of trl (slow)."""

import json
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from tests.harness.data.training import Training, trainings
from tests.meta.conftest import run_anew
from tests.tools.drift.environments import requirements
from tests.tools.drift.labels import judge_labels, wrong

EOS, PROMPT = 128009, [128000, 7117, 374, 400]  # `Price is $` of Llama-3.1, behind BOS
ANSWER = [18265, 13, 410, EOS]  # `374`, `.`, `00`, the end
WHOLE = [*PROMPT, *ANSWER]
ASKED = ({"prompt": "Price is $", "completion": "374.00"},)
MASKED = [-100] * 4


def training(learns: str, packed: bool = False) -> Training:
    rows = ASKED * (2 if packed else 1)
    return Training("planted", "planted for a test", rows, learns, packed=packed)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def decoder(bundle: dict[str, Path]) -> Tokenizer:
    return Tokenizer.from_file(str(bundle["llama3_1_instruct"] / "tokenizer.json"))


@pytest.mark.parametrize(
    ("learns", "labels", "problem"),
    [
        ("all", WHOLE, ""),
        ("all", [-100, *WHOLE[1:]], "1 of 8 tokens are ignored, expected none"),
        ("all", [*WHOLE, EOS], "1 pads have a label"),
        ("all", [*WHOLE[:-1], 128001], "a label is another than its own id"),
        ("nothing", [-100] * 8, ""),
        ("nothing", [*[-100] * 7, EOS], "1 of 8 tokens are learned, expected none"),
        ("answer", [*MASKED, *ANSWER], ""),
        (
            *("answer", [-100, -100, *WHOLE[2:]]),
            "2 of 8 tokens are ignored: learns 'is $374.00<|eot_id|>', expected '374.00<|eot_id|>'",
        ),
        (
            *("answer", [*MASKED, *ANSWER[:-1], -100]),
            "5 of 8 tokens are ignored: learns '374.00', expected '374.00<|eot_id|>'",
        ),
        (
            *("answer", [-100] * 8),
            "8 of 8 tokens are ignored: learns '', expected '374.00<|eot_id|>'",
        ),
    ],
)
def test_labels_are_judged(
    learns: str, labels: list[int], problem: str, decoder: Tokenizer
) -> None:
    assert wrong(training(learns), 0, (WHOLE, labels), decoder, EOS) == problem


def test_packed_rows_learn_each_answer(decoder: Tokenizer) -> None:
    packed, both = training("answer", packed=True), [*MASKED, *ANSWER]
    assert wrong(packed, 0, (WHOLE * 2, both * 2), decoder, EOS) == ""
    one = wrong(packed, 0, (WHOLE * 2, [*both, *[-100] * 8]), decoder, EOS)
    assert one.endswith("learns '', expected '374.00<|eot_id|>'")


def test_error_of_a_trainer_is_red(decoder: Tokenizer) -> None:
    error = {"error": "ValueError: no"}
    key = "llama3_1_instruct"
    seen = {key: {"labels": {"SFTTrainer(packed)": {"packed_0": error}}}}
    outcomes = judge_labels(seen, {key: decoder})
    node = "labels_are_declared[llama3_1_instruct-packed_0]"
    assert outcomes.red == {node: f"{key} packed_0: ValueError: no"}


def test_there_are_twelve_rows() -> None:
    assert sum(len(one.rows) for one in trainings().values()) == 12
    assert {one.pad for one in trainings().values()} == {"eos", "own"}


def test_given_versions_stand_in_for_pins() -> None:
    pinned = " ".join(requirements("trl", "1.16.0"))
    assert "transformers==" in pinned and "torch==" in pinned and "datasets==" in pinned
    lines = requirements("trl", "1.16.0", ("transformers==4.57.6",))
    assert [line for line in lines if line.startswith("transformers")] == ["transformers==4.57.6"]
    assert not [
        line for line in lines if line.startswith(("tokenizers", "huggingface", "datasets"))
    ]


@pytest.mark.slow
def test_masking_of_two_tokens_is_found(tmp_path: Path) -> None:
    """Of trl 0.24 with the pinned transformers: it takes `len()` of a mapping."""
    options = ("--package", "trl", "--models", "llama3_1_instruct", "--out", str(tmp_path))
    run = run_anew("tests.tools.drift", "0.24.0", "1.16.0", *options)
    assert run.code == 1, run.out
    data = json.loads((tmp_path / "drift.json").read_text())
    nodes = [f"labels_are_declared[llama3_1_instruct-chat_prompt_completion_{n}]" for n in (0, 1)]
    assert [version["red"] for version in data["versions"]] == [nodes, []]
    (fixed,) = [cause for cause in data["steps"][0]["causes"] if cause["verdict"] == "fixes"]
    assert fixed["first"].startswith("llama3_1_instruct chat_prompt_completion_0: position 2: ")
    assert "-> -100; without a label 2 of " in fixed["first"]

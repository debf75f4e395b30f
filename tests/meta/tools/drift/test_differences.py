"""Drift: every kind of difference is found, named and judged; equal observations give none."""

import copy
import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest

from tests.harness.data.cases import texts
from tests.harness.environments import Environment
from tests.tools.drift.causes import Cause, Packages, group
from tests.tools.drift.compare import judge, rows_of
from tests.tools.drift.differences import KINDS, Rows, begins, compare
from tests.tools.drift.record import Observed
from tests.tools.drift.runner import Outcomes, Seen, Subject, read_outcomes

CASE = "plain.task_sentence"
IDS = [306, 626, 24173]
OBSERVED: Observed = {
    "load": {"load": {"": "loaded"}},
    "errors and warnings": {"use": {"": []}},
    "ids": {"encode": {CASE: IDS}, "apply_chat_template": {"task.joke": [32010, 13]}},
    "labels": {"SFTTrainer(text)": {"text_0": [-100, 626, 2]}},
    "rendered text": {"apply_chat_template": {"task.joke": "<|user|>\nHi"}},
    "offsets": {"return_offsets_mapping=True": {CASE: [[0, 1], [1, 4], [4, 12]]}},
    "decode": {"decode": {CASE: "x != y"}},
    "calls": {"batch_decode": {"flat": {"type": "list[str]", "value": ["a", "b"]}}},
    "settings": {"add_eos_token": {"add_eos_token": {}}},
    "return type": {"save_pretrained": {"": "tuple[str]"}},
    "load keys": {"from_pretrained": {"load": "loaded", "missing_keys": []}},
    "memory": {"bytes": {"held": 109778432}},
    "generation": {"greedy answer": {"kettle": {"text": "10", "ids": [33, 32]}}},
    "forward": {"part beside the reference": {"mlp": "within rounding"}},
    "special tokens": {"pad_token": {"": [32000, "<|endoftext|>"]}},
    "pipeline": {"class": {"": "Old"}, "pre_tokenizer": {"": None}, "decoder": {"": None}},
    "files written": {"tokenizer_config.json": {"legacy": False}},
}
# What is planted (kind, call, case, new value), and where it must be found to begin.
PLANTED: list[tuple[str, str, str, Any, str]] = [
    ("ids", "encode", CASE, [306, 13, 24173], "position 1: 626 ' am' -> 13 '\\x0a'"),
    ("ids", "encode", CASE, [306, 626], "position 2: 24173 ' excited' -> (end)"),
    (
        *("labels", "SFTTrainer(text)", "text_0", [-100, -100, 2]),
        "position 1: 626 ' am' -> -100; without a label 1 of 3 -> 2 of 3",
    ),
    (
        *("rendered text", "apply_chat_template", "task.joke", "<|user|>\n\u202eHi"),
        "character 9: 'Hi' -> '\\u202eHi'",
    ),
    (
        *("offsets", "return_offsets_mapping=True", CASE, [[0, 1], [4, 4], [4, 12]]),
        "position 1: [1, 4] -> [4, 4]",
    ),
    ("decode", "decode", CASE, "x!= y", "character 1: ' != y' -> '!= y'"),
    (
        *("calls", "batch_decode", "flat", {"type": "list[str]", "value": ["ab"]}),
        'value: ["a", "b"] -> ["ab"]',
    ),
    ("settings", "add_eos_token", "add_eos_token", {"ids": [2]}, "ids: (absent) -> [2]"),
    ("return type", "save_pretrained", "", "list[str]", "'tuple[str]' -> 'list[str]'"),
    ("load keys", "from_pretrained", "missing_keys", ["lm_head"], '[] -> ["lm_head"]'),
    ("memory", "bytes", "held", 109778560, "109778432 -> 109778560"),
    (
        *("generation", "greedy answer", "kettle", {"text": "20", "ids": [34, 32]}),
        "text: '10' -> '20'",
    ),
    (
        *("forward", "part beside the reference", "mlp", "off by 0.37, rounding 0.016"),
        "'within rounding' -> 'off by 0.37, rounding 0.016'",
    ),
    ("special tokens", "pad_token", "", [2, "</s>"], "[0]: 32000 -> 2"),
    (
        *("pipeline", "pre_tokenizer", "", {"type": "ByteLevel"}),
        'null -> {"type": "ByteLevel"}',
    ),
    ("files written", "tokenizer_config.json", "is_local", True, "(absent) -> true"),
    (
        *("ids", "encode", CASE, {"error": "PanicException: no"}),
        "[306, 626, 24173] -> 'PanicException: no'",
    ),
    ("errors and warnings", "use", "", ["UserWarning: new"], "new: 'UserWarning: new'"),
    ("load", "load", "", {"error": "the process died"}, "'loaded' -> 'the process died'"),
]
FOUND = {"ids": "errors and warnings", "load": "load failure"}  # the kind where an error is planted


@pytest.fixture(scope="module")
def rows(bundle: dict[str, Path]) -> Rows:
    return rows_of({"phi3": bundle["phi3"]})


def changed(kind: str, call: str, case: str, value: Any) -> Observed:
    """The observations with one value changed or added, by way of a file as the real ones."""
    observed = copy.deepcopy(OBSERVED)
    observed[kind].setdefault(call, {})[case] = value
    read: Observed = json.loads(json.dumps(observed))
    return read


def installed(older: str, newer: str, package: str = "transformers") -> Packages:
    """What is installed on both sides of a step."""
    return {package: older}, {package: newer}


def side(version: str, observed: Observed, failing: Collection[str]) -> Seen:
    """A version that sees this of phi3, and whose tests of these names fail."""
    environment = Environment(Path(), {"transformers": version})
    outcomes = Outcomes(known=dict.fromkeys(failing, ""))
    subject, seen = Subject({}, "auto"), {"phi3": observed}
    return Seen(version, version, subject, "", environment, Path(), seen, outcomes)


def causes(
    new: Observed,
    before: Collection[str] = (),
    after: Collection[str] = (),
    old: Observed = OBSERVED,
) -> list[Cause]:
    """The causes of a step in which these tests fail before and after."""
    step = side("4.57.6", old, before), side("5.0.0", new, after)
    return group(step, list(compare("phi3", old, new)))


def test_equal_observations_give_no_difference() -> None:
    assert list(compare("phi3", OBSERVED, json.loads(json.dumps(OBSERVED)))) == []


def test_planted_differences_are_found_and_named(rows: Rows) -> None:
    kinds = set()
    for kind, call, case, value, first in PLANTED:
        assert kind in OBSERVED, kind
        (difference,) = compare("phi3", OBSERVED, changed(kind, call, case, value))
        expected = FOUND[kind] if isinstance(value, dict) and "error" in value else kind
        assert (difference.kind, difference.call, difference.case) == (expected, call, case)
        assert begins(difference, rows) == first
        kinds.add(difference.kind)
    assert kinds == set(KINDS), "every kind is planted"


def test_weights_that_one_side_cannot_load_are_one_difference() -> None:
    new = changed("load keys", "from_pretrained", "load", {"error": "RuntimeError: No GPU found"})
    del new["load keys"]["from_pretrained"]["missing_keys"]
    for kind in ("memory", "generation", "forward"):
        del new[kind]
    (difference,) = compare("phi3", OBSERVED, new)
    assert (difference.kind, difference.case) == ("errors and warnings", "load")


def test_differences_are_grouped_by_what_moved() -> None:
    new = changed("ids", "encode", CASE, [306, 13, 24173])
    new["offsets"]["return_offsets_mapping=True"][CASE] = [[0, 1]]
    new["decode"]["decode"][CASE] = "x!= y"
    new["pipeline"]["pre_tokenizer"][""] = {"type": "ByteLevel"}
    new["pipeline"]["class"][""] = "New"
    why = {cause.kind: cause.why for cause in causes(new)}
    assert why["ids"] == "Old -> New: other pre_tokenizer"
    assert why["offsets"] == why["decode"] == "follows from the ids"
    alone = causes(changed("decode", "decode", CASE, "x!= y"))
    assert alone[0].why == "the loaded pipeline is the same: the library's own code changed"


DECODING = [f"test_decoding_gives_the_text_back[phi3-{CASE}]"]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ([], DECODING, "breaks"),
        (DECODING, [], "fixes"),
        ([], [], "changes"),
        (DECODING, DECODING, "changes"),
        ([], [f"test_decoding_gives_the_text_back[qwen2-{CASE}]"], "changes"),
        ([], [f"test_offsets_rebuild_the_text[phi3-{CASE}]"], "changes"),
    ],
    ids=["breaks", "fixes", "changes", "stays_broken", "of_another_model", "of_another_contract"],
)
def test_contracts_decide_what_is_a_breakage(
    before: list[str], after: list[str], expected: str
) -> None:
    (cause,) = causes(changed("decode", "decode", CASE, "x!= y"), before, after)
    assert cause.verdict == expected


def test_model_that_no_longer_loads_is_a_breakage() -> None:
    dead = {"load": {"load": {"": {"error": "ValueError: no"}}}}
    for old, new, expected in ((OBSERVED, dead, "breaks"), (dead, OBSERVED, "fixes")):
        (cause,) = causes(new, old=old)
        assert (cause.kind, cause.verdict) == ("load failure", expected)
        assert len(cause.differences) == 1, "nothing else of the model"
    assert causes(dead, old=dead) == []


def test_saved_files_are_judged_by_ids(rows: Rows) -> None:
    names = ("5.0.0", "4.57.6")
    there = {"load": OBSERVED["load"], "ids": {"encode": {CASE: [306, 13, 24173]}}}
    same = judge(names, "phi3", OBSERVED, {**there, "ids": OBSERVED["ids"]}, OBSERVED, rows)
    other = judge(names, "phi3", OBSERVED, there, OBSERVED, rows)
    error = {"error": "ValueError: Tokenizer class TokenizersBackend does not exist"}
    dead = {"load": {"load": {"": error}}}
    lost = judge(names, "phi3", OBSERVED, dead, OBSERVED, rows)
    assert (same.same, other.same, lost.same) == (True, False, False)
    assert other.result == f"1 texts differ, {CASE}: position 1: 626 ' am' -> 13 '\\x0a'"
    issue = lost.issue(installed("4.57.6", "5.0.0"))
    assert issue and issue.id == "saved_class_is_new"
    assert other.issue(installed("4.57.6", "5.0.0")) is None
    assert lost.issue(installed("4.51.3", "4.57.6")) is None


def test_outcomes_are_read_exactly(tmp_path: Path) -> None:
    report = tmp_path / "junit.xml"
    report.write_text(
        '<testsuites><testsuite><testcase name="a"/><testcase name="b">'
        '<failure message="first&#10;second"/></testcase><testcase name="c">'
        '<skipped type="pytest.xfail" message="known"/></testcase><testcase name="d">'
        '<skipped type="pytest.skip" message="no GPU"/></testcase><testcase name="e">'
        '<error message="setup"/></testcase></testsuite></testsuites>'
    )
    outcomes = read_outcomes(report)
    assert (outcomes.passed, outcomes.known) == (1, {"c": "known"})
    assert outcomes.red == {"b": "first", "d": "no GPU", "e": "setup"}


def test_cases_named_here_exist() -> None:
    assert CASE in texts()

"""Planted faults: the suite must name each of the catalogue, and CONTRIBUTING says how many."""

import json
import os
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from tests.harness.errors import DataError
from tests.meta.conftest import PROJECT, run_pytest

from .__main__ import table
from .catalogue import APART, FAULTS, HASHES, SNAPSHOTS, catalogue, read_catalogue
from .contracts import cheapest_faults, contract_of, contracts
from .patches import places
from .patches.places import package_of
from .planting import patch

PLANTED = "test_planted_fault_is_named"

# Those that only real weights show cost as much as all others together, and what is seen in a new
# process or a saved model as much as ten.
COSTLY = {"process_changes_the_answer", "saved_otherwise"}
QUICK = {name for name in cheapest_faults() if not catalogue()[name].trained} - COSTLY

# Tests of the running suite whose faults are planted elsewhere, and where.
ELSEWHERE = {
    HASHES: "every fault in a file",
    "test_ids_snapshot": "the area machinery",
    "test_prompts_snapshot": "the area machinery",
    "test_generation_snapshot": "test_generation_snapshot.py",
    "test_answers_snapshot": "snapshots/test_answers_snapshot.py",
    "test_one_token_is_the_price": "model/test_scripted_models.py",
    "test_switch_changes_the_end_of_the_prompt": "tools/test_new_model.py",
    "test_no_other_tensors_on_the_device": "a CUDA device",
    "test_allocated_memory": "a CUDA device",
    "test_peak_while_loading": "a CUDA device",
    "test_memory_is_given_back": "a CUDA device",
    "test_date_is_the_published_one": "a known difference of the engine",
    "test_endpoint_ids": "engines/test_counts.py",
    "test_endpoint_ids_without_special_tokens": "engines/test_counts.py",
    "test_endpoint_prompts": "engines/test_counts.py",
    "test_endpoint_counts": "engines/test_counts.py",
}


@pytest.fixture(scope="session")
def verdicts(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, list[str]]:
    """What is wrong with each selected fault, all planted at once; empty for what was killed.

    One fault a contract is judged by that contract alone; any more, by the whole suite.
    """
    mine = [item.name for item in request.session.items if item.path == Path(__file__)]
    tests = [name.rstrip("]").partition("[") for name in mine]
    names = [name for test, _, name in tests if test == PLANTED]
    path = tmp_path_factory.mktemp("faults") / "verdicts.json"
    only = [word for name in names for word in ("--only", name)]
    quick = ["--quick"] if set(names) <= QUICK else []
    command = [sys.executable, "-m", "tests.meta.faults", "--json", str(path), *quick, *only]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert path.exists(), done.stdout[-2000:] + done.stderr[-2000:]
    return {row["id"]: row["wrong"] for row in json.loads(path.read_text())}


NAMED = [
    pytest.param(name, marks=[] if name in QUICK else [pytest.mark.slow]) for name in catalogue()
]


@pytest.mark.parametrize("name", NAMED)
def test_planted_fault_is_named(name: str, verdicts: dict[str, list[str]]) -> None:
    wrong = verdicts[name]
    assert not wrong, "\n".join([f"{name}: {catalogue()[name].stands_for}", *wrong])


def test_catalogue_is_large_and_demands_contracts() -> None:
    faults = catalogue().values()
    assert len(faults) >= 80
    for fault in faults:
        assert (fault.red is None) == (fault.area in APART), fault.id
        assert fault.red not in (HASHES, "test_ids_snapshot", "test_prompts_snapshot"), fault.id
        assert set(fault.areas) != {SNAPSHOTS}, fault.id
        assert bool(fault.patch) != bool(fault.edits) or fault.area in APART, fault.id


def test_every_contract_has_a_planted_fault() -> None:
    """A contract that no fault can break is none; a quick run breaks each but five once."""
    faults = [fault for fault in catalogue().values() if fault.area not in APART]
    broken = {contract_of(fault) for fault in faults}
    elsewhere = {contract for contract in contracts() if contract[1] in ELSEWHERE}
    assert contracts().keys() - broken == elsewhere
    assert broken <= contracts().keys()
    cheapest = cheapest_faults()
    assert {contract_of(catalogue()[name]) for name in cheapest} == broken
    assert len(cheapest) == len(broken)
    assert len(cheapest - QUICK) <= 5


def test_contributing_has_the_catalogues_numbers() -> None:
    text = (PROJECT / ".github" / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert "\n".join(table(list(catalogue().values()), set(catalogue()))) in text


def test_no_fault_is_an_equal_of_another() -> None:
    plants = [
        json.dumps([one.model, one.red, one.patch, one.given, str(one.edits), one.options])
        for one in catalogue().values()
    ]
    assert [plant for plant, count in Counter(plants).items() if count > 1] == []


WRONG = {
    "unknown_key": ('says = "', 'says_ = "', "says_"),
    "no_link": ('stands_for = "', 'link = "https://example.org"\nstands_for = "', "link"),
    "operation": ('op = "set"', 'op = "unset"', "edits.0.op"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_entry_is_one_line(name: str, tmp_path: Path) -> None:
    old, new, place = WRONG[name]
    text = (FAULTS / "settings.toml").read_text(encoding="utf-8")
    (tmp_path / "settings.toml").write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(DataError, match=rf"settings\.toml: \[padding_side_flipped\] {place}: "):
        read_catalogue(tmp_path)


def test_a_survivor_is_named_and_fails_the_command(tmp_path: Path) -> None:
    """With the contract taken away, the fault it was for survives."""
    plant = "def pytest_collection_modifyitems(items):\n"
    plant += "    items[:] = [item for item in items if 'test_setting_matches' not in item.name]\n"
    (tmp_path / "planted.py").write_text(plant)
    command = [sys.executable, "-m", "tests.meta.faults", "--quick"]
    command += ["--only", "padding_side_flipped"]
    done = subprocess.run(
        command,
        cwd=PROJECT,
        env={**os.environ, "PYTEST_PLUGINS": "planted", "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "fault padding_side_flipped: test_setting_matches_registry stays green" in done.stdout


class Library:
    """What a patch changes."""

    def method(self, size: int = 0) -> int:
        """Return the size."""
        return size


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> type[Library]:
    """A library in which nothing is replaced yet, and which is given back as it was."""
    monkeypatch.setattr(places, "_places", [])
    monkeypatch.setattr(Library, "method", Library.method)
    return Library


def test_a_moved_place_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing runs then, so the fault is not killed."""
    transformers = package_of("transformers")
    gone = {"method": "_gone", "keyword": "x"}
    lines = patch(
        replace(catalogue()["truncation_swallowed"], patch="settings.swallowed", given=gone)
    )
    assert len(lines) == 1
    assert lines[0].startswith(f"{transformers} has no transformers.")
    assert lines[0].endswith("._gone any more: the patch must follow")
    monkeypatch.setitem(sys.modules, "transformers", ModuleType("transformers"))
    lines = patch(catalogue()["mask_dropped"])
    assert len(lines) == 1
    assert lines[0].startswith(f"{transformers}: cannot import name 'GenerationMixin' from ")


def test_a_moved_argument_is_one_line(library: type[Library]) -> None:
    with pytest.raises(places.PlaceMovedError) as caught:
        places.replace(library, "method", lambda right: right, ("gone", "size"))
    name = f"{library.__module__}.Library.method(gone=)"
    assert str(caught.value) == f"tests has no {name} any more: the patch must follow"


def test_a_place_that_nothing_reaches_is_one_line(library: type[Library]) -> None:
    places.replace(library, "method", lambda right: right, when=lambda given: "size" in given)
    assert library().method() == 0
    name = f"{library.__module__}.Library.method"
    assert places.ineffective() == [f"tests never reached {name}: nothing was planted"]
    library().method(size=5)
    assert places.ineffective() == []


def test_a_result_without_what_a_patch_changes_is_one_line(library: type[Library]) -> None:
    places.change_result(library, "method", lambda result: places.set_existing(result, "gone", 1))
    with pytest.raises(places.PlaceMovedError):
        library().method()
    assert places.ineffective() == ["builtins has no int.gone any more: the patch must follow"]


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_unchanged_model_is_green_in_any_order(seed: int) -> None:
    options = (
        "tests/conformance",
        "--models",
        "phi3",
        "--gate",
        "-p",
        "tests.meta.support.shuffle",
    )
    run = run_pytest(*options, SHUFFLE=str(seed))
    assert run.code == 0, run.out[-2000:]
    run.line(f"tests are shuffled: seed {seed}")

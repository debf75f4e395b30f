"""Planted faults: the suite must name each of the catalogue, and README must say how many."""

import json
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.harness.errors import DataError
from tests.meta.conftest import PROJECT, run_pytest

from .__main__ import table
from .catalogue import APART, FAULTS, HASHES, QUANTIZED, SNAPSHOTS, catalogue, read_catalogue

README = (PROJECT / "README.md").read_text(encoding="utf-8")


PLANTED = "test_planted_fault_is_named"


CONTRACTS = ("tests/conformance", "tests/quantized")


# Tests of the running suite whose faults are planted elsewhere, and where.
ELSEWHERE = {
    HASHES: "every fault in a file",
    "test_ids_snapshot": "the area machinery",
    "test_prompts_snapshot": "the area machinery",
    "test_generation_snapshot": "test_generation_snapshot.py",
    "test_one_token_is_the_price": "model/test_scripted_models.py",
    "test_no_other_tensors_on_the_device": "a CUDA device",
    "test_allocated_memory": "a CUDA device",
    "test_peak_while_loading": "a CUDA device",
    "test_memory_is_given_back": "a CUDA device",
}


@pytest.fixture(scope="session")
def verdicts(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, list[str]]:
    """What is wrong with each selected fault, all planted at once; empty for what was killed."""
    mine = [item.name for item in request.session.items if item.path == Path(__file__)]
    tests = [name.rstrip("]").partition("[") for name in mine]
    names = [name for test, _, name in tests if test == PLANTED]
    path = tmp_path_factory.mktemp("faults") / "verdicts.json"
    only = [word for name in names for word in ("--only", name)]
    command = [sys.executable, "-m", "tests.meta.faults", "--json", str(path), *only]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert path.exists(), done.stdout[-2000:] + done.stderr[-2000:]
    return {row["id"]: row["wrong"] for row in json.loads(path.read_text())}


# Those in a copy of the project cost a process each, those of a loaded model seconds.
NAMED = [
    pytest.param(name, marks=[pytest.mark.slow] if fault.area in (*APART, *QUANTIZED) else [])
    for name, fault in catalogue().items()
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
    """A contract that no fault can break is none."""
    sources = [path for folder in CONTRACTS for path in (PROJECT / folder).glob("test_*.py")]
    tests = {
        name
        for path in sources
        for name in re.findall(r"^def (test_\w+)", path.read_text(), re.MULTILINE)
    }
    broken = {fault.red for fault in catalogue().values()}
    assert tests - broken - set(ELSEWHERE) == set()
    assert (broken - {None}) <= tests


def test_readme_has_the_catalogues_numbers() -> None:
    assert "\n".join(table(list(catalogue().values()), set(catalogue()))) in README


def test_no_fault_is_an_equal_of_another() -> None:
    plants = [
        json.dumps([it.model, it.red, it.patch, it.given, [str(e) for e in it.edits], it.options])
        for it in catalogue().values()
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
    plant += "    items[:] = [it for it in items if 'test_setting_is' not in it.name]\n"
    (tmp_path / "planted.py").write_text(plant)
    command = [sys.executable, "-m", "tests.meta.faults", "--only", "padding_side_flipped"]
    done = subprocess.run(
        command,
        cwd=PROJECT,
        env={**os.environ, "PYTEST_PLUGINS": "planted", "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "padding_side_flipped: test_setting_matches_registry stays green" in done.stdout


@pytest.mark.parametrize("seed", [1, 2])
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

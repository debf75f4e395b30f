"""Drift as users run it: environments, dying processes, equal versions, wrong commands."""

import json
import shutil
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.harness.errors import AssetError
from tests.meta.conftest import PROJECT, Run
from tests.tools.drift import environments
from tests.tools.drift.environments import (
    MARKER,
    Environment,
    environment,
    reason,
    wanted,
)
from tests.tools.drift.runner import observe, task

TINY = ("iniconfig", "2.3.0")  # a package without dependencies, of 7 kB


def drift(*arguments: str) -> Run:
    """Run the command; progress and result together."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.tools.drift", *arguments],
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return Run(done.returncode, done.stdout)


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Environments of one tiny package in a cache of their own; the list is what was built."""
    monkeypatch.setenv("MODEL_CONFORMANCE_CACHE", str(tmp_path))
    monkeypatch.setattr(environments, "wanted", lambda package, version: [f"{package}=={version}"])
    built: list[Path] = []
    install = environments.install

    def counted(folder: Path, requirements: list[str]) -> None:
        built.append(folder)
        install(folder, requirements)

    monkeypatch.setattr(environments, "install", counted)
    return built


def test_environment_is_built_once_even_for_two_at_once(tiny: list[Path]) -> None:
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda _: environment(*TINY), range(2)))
    assert len(tiny) == 1
    assert found[0] == found[1]
    assert found[0].packages == dict([TINY])
    assert "pip" not in found[0].packages, "nothing but the package and its dependencies"


def test_killed_build_is_rebuilt(tiny: list[Path]) -> None:
    first = environment(*TINY)
    folder = first.python.parents[1]
    (folder / MARKER).unlink()
    (folder / "half").write_text("of a killed build")
    shutil.rmtree(folder / "lib")
    assert environment(*TINY) == first
    assert len(tiny) == 2
    assert not (folder / "half").exists()
    line = [str(first.python), "-c", "import iniconfig"]
    assert subprocess.run(line, check=False).returncode == 0


def test_failed_build_leaves_nothing_and_says_why(tiny: list[Path]) -> None:
    with pytest.raises(AssetError, match=r"^[^\n]*iniconfig==9999[^\n]*$"):
        environment("iniconfig", "9999")
    assert not tiny[0].exists()


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (
            "ERROR: Could not find a version that satisfies the requirement a==9 (from: 1)\n"
            "ERROR: No matching distribution found for a==9\n",
            "No matching distribution found for a==9",
        ),
        (
            "ERROR: Cannot install a==1 and b==2 because these package versions have conflicting "
            "dependencies.\nERROR: ResolutionImpossible: for help visit https://example.org\n",
            "Cannot install a==1 and b==2 because these package versions have conflicting "
            "dependencies.",
        ),
        (
            "  \u00d7 No solution found when resolving:\n  \u2570\u2500\u25b6 Because a==1 "
            "depends on b>=3\n      and you require b==2, it cannot be.\n",
            "Because a==1 depends on b>=3 and you require b==2, it cannot be.",
        ),
        ("Segmentation fault\n", "Segmentation fault"),
        ("", "the installer died and said nothing"),
    ],
    ids=["pip_no_version", "pip_conflict", "uv", "other", "silent"],
)
def test_reason_of_an_installer_is_one_line(said: str, expected: str) -> None:
    assert reason(said) == expected


def test_only_the_package_in_question_changes() -> None:
    pins = environments.pins()
    assert wanted("transformers", "4.57.6")[0] == "transformers==4.57.6"
    assert not any("tokenizers" in it or "hub" in it for it in wanted("transformers", "4.57.6"))
    assert not any("transformers" in it for it in wanted("tokenizers", "0.19.1"))
    jinja = wanted("jinja2", "3.1.2")
    assert f"transformers=={pins['transformers']}" in jinja
    assert [it for it in jinja if it.startswith("jinja2")] == ["jinja2==3.1.2"]


def test_version_that_cannot_be_installed_is_a_result(tmp_path: Path) -> None:
    out = ("--out", str(tmp_path), "--models", "phi3")
    run = drift("9999.1", "9999.2", "--package", "iniconfig", *out)
    assert run.code == 1
    assert run.line("iniconfig 9999.1: cannot be installed").count("iniconfig==9999.1")
    data = json.loads((tmp_path / "drift.json").read_bytes())
    assert [it["problem"] != "" for it in data["versions"]] == [True, True]
    assert data["steps"] == []
    assert "iniconfig==9999.2" in (tmp_path / "drift.html").read_text()


def test_dying_process_costs_its_model_and_no_other(
    tmp_path: Path, bundle: dict[str, Path]
) -> None:
    mortal = tmp_path / "python"
    mortal.write_text(
        f'#!/bin/sh\ntasks=$(cat)\ncase $tasks in \'[{{"name": "bad"\'*) kill -ABRT $$;; esac\n'
        f'printf "%s" "$tasks" | exec {sys.executable} "$@"\n'
    )
    mortal.chmod(mortal.stat().st_mode | stat.S_IXUSR)
    tasks = [
        {**task("phi3", bundle["phi3"], tmp_path / f"{name}.json", "raw", None), "name": name}
        for name in ("bad", "good")
    ]
    found = observe(Environment(mortal, {}), tasks)
    died = found["bad"]["load"]["load"][""]["error"]
    assert died == "the process died (signal 6): it said nothing"
    assert found["good"]["load"]["load"][""] == "loaded"
    assert len(found["good"]["ids"]["encode"]) > 100


def test_damaged_file_is_an_observation(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text('{"version": "1.0", "model": {"type": "BPE"')
    out = tmp_path / "out.json"
    found = observe(
        Environment(Path(sys.executable), {}), [task("phi3", tmp_path, out, "raw", None)]
    )
    error = found["phi3"]["load"]["load"][""]["error"]
    assert error.startswith("Exception: EOF while parsing")
    assert str(tmp_path) not in error


def test_current_does_not_differ_from_itself(tmp_path: Path) -> None:
    """Both are observed, tested, saved and read for themselves: what varied would be reported."""
    run = drift("current", "current", "--models", "phi3", "--out", str(tmp_path))
    assert run.code == 0, run.out
    data = json.loads((tmp_path / "drift.json").read_bytes())
    assert [(it["red"], it["passed"] > 800) for it in data["versions"]] == [({}, True)] * 2
    (step,) = data["steps"]
    assert (step["causes"], step["counts"]) == ([], {})
    assert [it["result"] for it in step["saved_files"]] == ["same ids"] * 2
    assert sorted(it.name for it in tmp_path.iterdir()) == ["drift.html", "drift.json"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("5.0.0",), "give at least two versions to compare"),
        (("5.x", "5.0.0"), "'5.x' is no version such as 5.23.0, nor `current`"),
        (("1.0", "current", "--package", "no-such-package"), "no-such-package is not installed"),
        (("1.0", "2.0", "--package", "--evil"), "--package"),
        (("1.0", "2.0", "--package", "../evil"), "not a package name"),
        (("1.0", "2.0", "--models", "gpt2"), "--models gpt2: allowed are llama3_1"),
        (("1.0", "2.0", "--model-dir", "phi3=/nowhere"), "there is no tokenizer.json"),
    ],
)
def test_wrong_command_is_one_line(arguments: tuple[str, ...], said: str) -> None:
    run = drift(*arguments)
    assert run.code == 2
    assert said in run.out.strip().splitlines()[-1]

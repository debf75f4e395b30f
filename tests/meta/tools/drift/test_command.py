"""Drift as users run it: environments, dying processes, equal versions, wrong commands."""

import json
import re
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import packages_distributions, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import conftest
from tests.harness import environments as installing
from tests.harness.environments import Environment, reason
from tests.harness.errors import AssetError
from tests.harness.sources import identity
from tests.meta.conftest import PROJECT, Run, copy_project, run_anew
from tests.meta.support.small_project import shrink
from tests.tools.drift import environments, runner
from tests.tools.drift.__main__ import main
from tests.tools.drift.environments import environment, requirements
from tests.tools.drift.runner import Subject, observe, results_folder, task

TINY = ("iniconfig", "2.3.0")  # a package without dependencies, of 7 kB


def drift(*arguments: str, cwd: Path = PROJECT) -> Run:
    """Run the command; progress and result together."""
    return run_anew("tests.tools.drift", *arguments, cwd=cwd)


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of environments of one tiny package, in a cache of their own."""
    monkeypatch.setenv("MODEL_CONFORMANCE_CACHE", str(tmp_path))
    alone = lambda package, version, given: [f"{package}=={version}"]  # noqa: E731
    monkeypatch.setattr(environments, "requirements", alone)
    return tmp_path / "environments"


def test_environment_is_whole_even_for_two_at_once(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ThreadPoolExecutor(2) as pool:
        made = list(pool.map(lambda _: environment(*TINY), range(2)))
    assert made[0] == made[1]
    assert made[0].packages == dict([TINY]), "nothing but the package and its dependencies"
    assert [path.name for path in tiny.glob("[!.]*")] == [made[0].python.parents[1].name]
    line = [str(made[0].python), "-c", "import iniconfig"]
    assert subprocess.run(line, check=False).returncode == 0
    monkeypatch.setattr(installing, "_uv", lambda *_: pytest.fail("installed again"))
    assert environment(*TINY) == made[0]


def test_killed_build_is_not_used(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uv = installing._uv

    def killed(*arguments: str) -> None:
        if "install" in arguments:
            raise KeyboardInterrupt
        uv(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(installing, "_uv", killed)
        with pytest.raises(KeyboardInterrupt):
            environment(*TINY)
    assert environment(*TINY).packages == dict([TINY])


def test_failed_build_leaves_nothing_and_says_why(tiny: Path) -> None:
    with pytest.raises(AssetError, match=r"^[^\n]*iniconfig==9999[^\n]*$"):
        environment("iniconfig", "9999")
    assert not list(tiny.glob("[!.]*"))


def test_reason_of_an_installer_is_one_line() -> None:
    """Its drawing goes, and what it says before its argument."""
    drawn = (
        "  \u00d7 No solution found when resolving:\n  \u2570\u2500\u25b6 Because a==1 "
        "depends on b>=3\n      and you require b==2, it cannot be.\n"
    )
    assert reason(drawn) == "Because a==1 depends on b>=3 and you require b==2, it cannot be."
    assert reason("Segmentation fault\n") == "Segmentation fault"
    assert reason("") == "uv failed without a message"


def test_only_the_package_in_question_changes() -> None:
    pins = environments.pins()
    alone = " ".join(requirements("transformers", "4.57.6"))
    assert "tokenizers" not in alone and "hub" not in alone
    assert "transformers" not in " ".join(requirements("tokenizers", "0.19.1"))
    jinja = requirements("jinja2", "3.1.2")
    assert f"transformers=={pins['transformers']}" in jinja
    assert [line for line in jinja if line.startswith("jinja2")] == ["jinja2==3.1.2"]


def test_version_that_cannot_be_installed_is_a_result(tmp_path: Path) -> None:
    out = ("--out", str(tmp_path), "--models", "phi3")
    run = drift("9999.1", "9999.2", "--package", "iniconfig", *out)
    assert run.code == 1
    assert run.line("iniconfig 9999.1: cannot be installed").count("iniconfig==9999.1")
    assert "->" not in run.out
    assert "iniconfig==9999.2" in (tmp_path / "drift.html").read_text()


SOURCES = (
    *("fixtures/d.toml", "fixtures/models.toml", "fixtures/texts/planted.json"),
    *("tests/harness/errors.py", "tests/harness/data/upstream_issues.py"),
    *("tests/harness/planted/new.py", "tests/tools/drift/observe.py"),
)
OF_TESTS = ("conftest.py", "pytest.ini", "tests/conformance/test_tokens.py")
NOWHERE = Environment(Path("python"), {})


def test_a_changed_source_is_observed_and_tested_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a copy of the project whose sources decide what is cached."""
    project = copy_project(tmp_path / "project")
    runs: list[str] = []
    monkeypatch.setenv("MODEL_CONFORMANCE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(identity, "PROJECT", project)

    def run(_: Environment, *arguments: str, lent: bool) -> subprocess.CompletedProcess[str]:
        (report,) = (option for option in arguments if option.startswith("--junitxml="))
        Path(report.partition("=")[2]).write_text(f"<a>{'<testcase/>' * len(runs)}</a>")
        runs.append(report)
        return subprocess.CompletedProcess([], 0, "", "")

    def cached() -> tuple[Path, int]:
        outcomes = runner.conformance(NOWHERE, Subject({}, "auto"), tmp_path)
        return results_folder(NOWHERE, Subject({}, "auto")), outcomes.passed

    monkeypatch.setattr(runner, "run_in", run)
    assert cached() == cached()
    for path in SOURCES + OF_TESTS:
        folder, tested = cached()
        (project / path).parent.mkdir(exist_ok=True)
        with (project / path).open("a") as stream:
            stream.write("\n# planted\n")
        new_folder, tested_again = cached()
        assert (new_folder != folder, tested_again) == (path in SOURCES, tested + 1), path


def modules_of(*names: str) -> dict[str, str]:
    """Every module, with its file, that a fresh process has after importing these."""
    code = (
        "import importlib, json, sys\n"
        "for name in sys.argv[1:]: importlib.import_module(name)\n"
        "print(json.dumps({k: getattr(m, '__file__', '') or '' for k, m in sys.modules.items()}))"
    )
    command = [sys.executable, "-c", code, *names]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True)
    files: dict[str, str] = json.loads(done.stdout)
    return files


def test_observer_loads_what_its_cache_knows_and_no_judge() -> None:
    loaded = modules_of("tests.tools.drift.observe")
    judges = ("tests.harness.plugins", "tests.harness.checks", "syrupy", "torch")
    assert [name for name in loaded if name.startswith(judges)] == []
    known = [PROJECT / name for name in runner.OBSERVED]
    ours = [Path(file) for name, file in loaded.items() if name.partition(".")[0] == "tests"]
    assert len(ours) > 5
    assert [file for file in ours if not {file, *file.parents} & set(known)] == []


def test_environments_have_all_that_our_plugins_import() -> None:
    """Else tests/conformance cannot even start there; `transformers` brings more, which varies."""
    distributions = packages_distributions()
    tops = {name.partition(".")[0] for name in modules_of("conftest", *conftest.pytest_plugins)}
    imported = {canonicalize_name(name) for top in tops for name in distributions.get(top, ())}
    assert {"pytest", "pydantic", "jinja2"} <= imported
    have = {canonicalize_name(name) for name in environments.TOOLS}
    for name in environments.TOOLS:
        needs = map(Requirement, requires(name) or ())
        have |= {
            canonicalize_name(need.name)
            for need in needs
            if need.marker is None or need.marker.evaluate({"extra": ""})
        }
    # The first two come with whatever starts Python here; the third is imported where it is there.
    assert imported - have - {"setuptools", "mypy-extensions", "python-dateutil"} == set()


def test_dying_process_costs_its_model_and_no_other(
    tmp_path: Path, bundle: dict[str, Path]
) -> None:
    mortal = tmp_path / "python"
    mortal.write_text(
        f'#!/bin/sh\ntasks=$(cat)\ncase $tasks in \'[{{"key": "bad"\'*) kill -ABRT $$;; esac\n'
        f'printf "%s" "$tasks" | exec {sys.executable} "$@"\n'
    )
    mortal.chmod(mortal.stat().st_mode | stat.S_IXUSR)
    tasks = [
        task(name, bundle["phi3"], tmp_path / f"{name}.json", Subject({}, "raw"), None)
        for name in ("bad", "good")
    ]
    observed = observe(Environment(mortal, {}), tasks)
    died = observed["bad"]["load"]["load"][""]["error"]
    assert died == "the process died (signal 6): no output"
    assert observed["good"]["load"]["load"][""] == "loaded"
    assert len(observed["good"]["ids"]["encode"]) > 100


def test_damaged_file_is_an_observation(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text('{"version": "1.0", "model": {"type": "BPE"')
    out = tmp_path / "out.json"
    here = Environment(Path(sys.executable), {})
    observed = observe(here, [task("phi3", tmp_path, out, Subject({}, "raw"), None)])
    error = observed["phi3"]["load"]["load"][""]["error"]
    assert error.startswith("Exception: EOF while parsing")
    assert str(tmp_path) not in error


@pytest.mark.parametrize(
    ("package", "least"),
    [
        ("tokenizers", 0),
        # It imports transformers six times; the fast case compares, saves and reads all the same.
        pytest.param("transformers", 100, marks=pytest.mark.slow),
    ],
)
def test_current_does_not_differ_from_itself(
    package: str, least: int, project: Path, tmp_path: Path
) -> None:
    """Both are observed, tested, saved and read for themselves: what varied would be reported."""
    small, out = shrink(project), tmp_path / "out"
    options = ["--package", package, "--models", "phi3", "--out", str(out)]
    if least:
        text = '[encoded]\ncall = "encode"\narguments = ["Price is $374"]\n'
        (small / "fixtures" / "public_calls.toml").write_text(text)
        options.append("--times")
    run = drift("current", "current", *options, cwd=small)
    assert run.code == 0, run.out
    assert "current -> current: no difference" in run.out.splitlines()
    passed = re.findall(r"^transformers current: (\d+) passed, 0 known, 0 red$", run.out, re.M)
    assert [int(count) >= least for count in passed] == [True] * (2 if least else 0)
    assert "2 with the same ids" in (out / "drift.html").read_text()
    data = json.loads((out / "drift.json").read_text())
    assert [version["red"] for version in data["versions"]] == [[], []]
    (step,) = data["steps"]
    assert not step["causes"] and all(row["same"] for row in step["saved_files"])
    assert bool(step["times"]) == bool(least)
    if least:
        assert step["times"]["timed"] > 10 and not step["times"]["changes"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("5.0.0", "give at least two versions to compare, or none"),
        ("5.0.0 5.1.0 5.2.0 --bisect encode", "give two versions to compare, or none"),
        ("5.0.0 current --bisect encode", "--bisect searches releases"),
        ("5.x 5.0.0", "expected a version such as 5.23.0 or `current`, got '5.x'"),
        ("1.0 current --package no-such-package", "no-such-package is not installed"),
        ("1.0 2.0 --package --evil", "--package"),
        ("1.0 2.0 --package ../evil", "not a package name"),
        ("1.0 2.0 --with transformers", "--with 'transformers': give NAME==VERSION"),
        ("1.0 current --package trl", "trl is not installed"),
        ("1.0 2.0 --times --package tokenizers", "--times: no calls of tokenizers are timed"),
        ("1.0 2.0 --times --bisect encode", "--bisect times nothing: leave out --times"),
        ("4.57.6 current --with torch==2.13.0", "--with changes no version of `current`"),
        ("1.0 2.0 --models gpt2", "--models gpt2: allowed are all, llama3_1"),
        ("1.0 2.0 --model-dir phi3=/nowhere", "there is no tokenizer.json"),
    ],
)
def test_wrong_command_is_one_line(
    arguments: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """It ends the parser, or is an error that `exit_status` prints."""
    with pytest.raises((SystemExit, AssetError)) as caught:
        main(arguments.split())
    assert message in (capsys.readouterr().err.splitlines() or [str(caught.value)])[-1]
    assert getattr(caught.value, "code", 2) == 2

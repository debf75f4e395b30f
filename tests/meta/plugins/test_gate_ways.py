"""Options that check less than a gate demands: each is red and named, or is meant and said so."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest

import conftest
from tests.meta.conftest import copy_project, run_pytest
from tests.meta.support.small_project import CONFORMANCE, NODE, TOKENS, shrink

ALL = "gate: conformance on cpu, 1 model: 229 of 229 checks"
NONE = "gate: conformance on cpu, 1 model: 0 of 229 checks"
PARTIAL = "gate: partial, by --gate-partial: conformance on cpu, 1 model: "
UNKNOWN = "python -m pytest: error: unrecognized arguments"


@dataclass(frozen=True)
class Way:
    """A gated run: how a line of it begins, its options, plants and variables, its exit code."""

    says: str
    options: tuple[str, ...] = ()
    files: dict[str, str] = field(default_factory=dict)  # what is put in front of them
    code: int = 1
    variables: dict[str, str] = field(default_factory=dict)
    swap: tuple[str, str, str] = ("", "", "")  # file, old text, new text


def refused(*options: str, says: str = "ERROR: --gate: leave out ") -> Way:
    return Way(says, options, code=4)


# Nothing is harmed: these share a project.
OPTIONS = {
    "keyword": Way(
        "gate: 228 checks left out by -k 'ids_snapshot and task_sentence'; if that is meant: "
        "--gate-partial",
        ("-k", "ids_snapshot and task_sentence"),
    ),
    "keyword_of_nothing": Way("gate: nothing ran", ("-k", "no_such")),
    "marks": Way(
        "gate: 33 checks left out by -m 'not needs and not snapshot_of'",
        ("-m", "not needs and not snapshot_of"),
    ),
    "deselected": Way("gate: 120 checks left out by --deselect", ("--deselect", TOKENS)),
    "ignored": Way(
        f"gate: 120 checks of {TOKENS} not collected: --ignore '{TOKENS}'; if that is meant",
        ("--ignore", TOKENS),
    ),
    "ignored_by_glob": Way(
        f"gate: 120 checks of {TOKENS} not collected: --ignore-glob '*/test_t*'",
        ("--ignore-glob", "*/test_t*"),
    ),
    "file": Way(
        f"gate: 109 checks of {CONFORMANCE}/test_batches.py and 5 more not coll", (TOKENS,)
    ),
    "node": Way(f"gate: 228 checks of {CONFORMANCE}/test_batches.py and 6 more not coll", (NODE,)),
    "environment": Way(
        "gate: 120 checks left out by --deselect 'tests/conformance/test_tokens.py' (from "
        "PYTEST_ADDOPTS)",
        variables={"PYTEST_ADDOPTS": f"--deselect {TOKENS}"},
    ),
    "another_folder": Way("gate: nothing of the suite was asked for", ("fixtures",)),
    "only_collected": Way(NONE, ("--collect-only", "-q")),
    "only_set_up": Way(NONE, ("--setup-only",)),
    "only_planned": Way(NONE, ("--setup-plan",)),
    "only_fixtures": Way("gate: 229 checks selected that never ran", ("--fixtures",)),
    "only_markers": Way("gate: nothing was judged", ("--markers",)),
    "python_files": refused("-o", "python_files=test_[a-d]*.py"),
    "python_functions": refused("-o", "python_functions=test_ids*"),
    "testpaths": refused("-o", "testpaths=tests/conformance/test_tokens.py"),
    "empty_sets": refused("-o", "empty_parameter_set_mark=xfail"),
    "lenient_xfail": refused("-o", "strict=false"),
    "other_settings": refused("-c", "other.ini"),
    "warnings": refused("-W", "ignore"),
    "no_warnings": refused("-p", "no:warnings"),
    "no_skipping": refused("-p", "no:skipping"),
    "run_xfail": refused("--runxfail"),
    "no_conftest": refused("--noconftest", says=UNKNOWN),
    "no_results": Way("gate: ", ("-p", "no:conformance-results")),
    "no_recorder": Way("gate: ", ("-p", "no:conformance-recorder")),
    "no_syrupy": refused("-p", "no:syrupy", says="ERROR: the plugin syrupy is not loaded: leave"),
    **{
        f"no_{name.removeprefix('tests.harness.')}": refused(
            "-p", f"no:{name}", says=f"ERROR: the plugin {name} is not loaded: leave out -p no:"
        )
        for name in conftest.pytest_plugins
        if not name.endswith(".options")
    },
    "no_options": refused("-p", "no:tests.harness.plugins.options", says=UNKNOWN),
    "no_autoload": Way(
        "ERROR: the plugin syrupy is not loaded: leave out -p no:syrupy, and unset PYTEST_DISABLE_",
        code=4,
        variables={"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
    ),
    "no_assertions": Way(
        "ERROR: assertions are off: unset PYTHONOPTIMIZE",
        code=4,
        variables={"PYTHONOPTIMIZE": "1"},
    ),
    **{
        option: refused(*option.split(), says=f"ERROR: --gate and {option.split()[0]} exclude each")
        for option in (
            "--snapshot-update",
            "--snapshot-update-new-only",
            "--snapshot-prune",
            "--latency-save new.json",
            "--evidence-update",
        )
    },
    # Meant, and said so.
    "all": Way(ALL, code=0),
    "folder": Way(f"{ALL}; quantized: not asked for", (CONFORMANCE,), code=0),
    "no_gpu": Way(f'{ALL}; gpu: left out by -m "not gpu"', ("-m", "not gpu"), code=0),
    "distributed": Way(ALL, ("-n", "2"), code=0),
    "quiet": Way(ALL, ("-qq",), code=0),
    "harmless_setting": Way(ALL, ("-o", "junit_family=legacy"), code=0),
    "meant": Way(f"{PARTIAL}120 of 229 checks; quantized", ("--gate-partial", TOKENS), code=0),
    "meant_of_some": Way(
        f"{PARTIAL}1 of 229 checks; narrowed by -k 'ids_snapshot and task_sentence'",
        ("--gate-partial", "-k", "ids_snapshot and task_sentence"),
        code=0,
    ),
    "meant_of_none": Way("gate: nothing ran", ("--gate-partial", "-k", "no_such")),
}


@pytest.fixture(scope="module")
def unharmed(tmp_path_factory: pytest.TempPathFactory, bundle: dict[str, Path]) -> Path:
    """A small project, and other settings beside it."""
    project = shrink(copy_project(tmp_path_factory.mktemp("unharmed") / "project"))
    (project / "other.ini").write_text("[pytest]\ntestpaths = tests/conformance\n")
    return project


def check(way: Way, project: Path) -> None:
    """Run it, and find its line and its end."""
    run = run_pytest("--gate", *way.options, cwd=project, **way.variables)
    assert any(line.startswith(way.says) for line in run.out.splitlines()), run.out[-3000:]
    assert run.code == way.code, run.out[-3000:]
    assert "INTERNALERROR" not in run.out and "Traceback" not in run.out


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.slow] if name == "distributed" else [])
        for name in OPTIONS
    ],
)
def test_options(unharmed: Path, name: str) -> None:
    check(OPTIONS[name], unharmed)

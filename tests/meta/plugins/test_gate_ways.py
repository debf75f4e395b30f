"""Ways to check less than a gate demands: each is red and named, or is meant and said so."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest

import conftest
from tests.meta.conftest import copy_project, run_pytest
from tests.meta.support.small_project import (
    CASE,
    CONFORMANCE,
    IDS,
    KNOWN,
    LAST,
    NODE,
    SNAPSHOTS,
    TOKENS,
    plant,
    shrink,
    small,
)

__all__ = ["small"]  # a fixture

ALL = "gate: conformance on cpu, 1 model: 229 of 229 checks"
NONE = "gate: conformance on cpu, 1 model: 0 of 229 checks"
PARTIAL = "gate: partial, by --gate-partial: conformance on cpu, 1 model: "
UNKNOWN = "python -m pytest: error: unrecognized arguments"
IMPLANT = "planted.py"  # a plugin, loaded by its name


GONE = KNOWN.replace(f"test_ids_snapshot[phi3-{CASE}]", "test_*[phi3-gone]")
MINE = KNOWN.replace(f"test_ids_snapshot[phi3-{CASE}]", "test_plant")
FAILS = """
@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    yield
    assert 'plain' not in item.name

"""
BY_HAND = "an expected failure that fixtures/upstream_issues.toml does not declare, but a mark or a"


@dataclass(frozen=True)
class Way:
    """A gated run: how a line of it begins, its options, plants and variables, its exit code."""

    says: str
    options: tuple[str, ...] = ()
    files: dict[str, str] = field(default_factory=dict)  # what is put in front of them
    code: int = 1
    variables: dict[str, str] = field(default_factory=dict)
    swap: tuple[str, str, str] = ("", "", "")  # file, old text, new text


def plugin(text: str, says: str, *options: str) -> Way:
    return Way(says, ("-p", "planted", *options), {IMPLANT: f"import pytest\n{text}"})


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

# What is planted needs a project of its own.
PLANTS = {
    "plugin_shortens": plugin(
        "@pytest.hookimpl(trylast=True)\ndef pytest_collection_modifyitems(items): del items[3:]\n",
        "gate: 226 checks taken away without a word by a plugin or conftest: ",
    ),
    "plugin_shortens_late": plugin(
        "def pytest_collection_finish(session): del session.items[3:]\n",
        "gate: 226 checks selected that never ran: ",
    ),
    "plugin_deselects": plugin(
        "def pytest_collection_modifyitems(config, items):\n"
        "    config.hook.pytest_deselected(items=items[3:])\n"
        "    del items[3:]\n",
        "gate: 226 checks left out by pytest.ini, a conftest or a plugin; if that is meant: ",
    ),
    "plugin_shortens_in_workers": plugin(
        "def pytest_collection_modifyitems(items): del items[3:]\n",
        "gate: 226 checks taken away without a word by a plugin or conftest: ",
        *("-n", "2"),
    ),
    "plugin_runs_nothing": plugin(
        "def pytest_runtestloop(session): return True\n",
        "gate: 229 checks selected that never ran: ",
    ),
    "plugin_runs_some": plugin(
        "@pytest.hookimpl(tryfirst=True)\n"
        "def pytest_runtest_protocol(item): return 'plain' in item.name or None\n",
        "gate: 18 checks selected that never ran: ",
    ),
    "plugin_calls_nothing": plugin(
        "@pytest.hookimpl(tryfirst=True)\ndef pytest_pyfunc_call(): return True\n",
        "the test's function was not called: a plugin took its place",
    ),
    "plugin_skips": plugin(
        "def pytest_runtest_setup(item):\n    if 'plain' in item.name: pytest.skip('planted')\n",
        "gate: 18 skipped: planted",
    ),
    "plugin_excuses": plugin(
        "@pytest.hookimpl(wrapper=True)\n"
        "def pytest_runtest_call(item):\n"
        "    yield\n"
        "    if 'plain' in item.name: pytest.xfail('planted')\n",
        BY_HAND,
    ),
    "plugin_hides_failures": plugin(
        f"{FAILS}"
        "@pytest.hookimpl(wrapper=True)\n"
        "def pytest_runtest_makereport():\n"
        "    report = yield\n"
        "    report.outcome, report.longrepr = 'passed', None\n"
        "    return report\n",
        "18 checks failed, and a plugin hides that: first ",
    ),
    "plugin_tries_again": plugin(
        f"{FAILS}"
        "@pytest.hookimpl(tryfirst=True)\n"
        "def pytest_runtest_protocol(item, nextitem):\n"
        "    from _pytest.runner import runtestprotocol\n"
        "    for report in runtestprotocol(item, nextitem=nextitem, log=False):\n"
        "        report.outcome = 'rerun' if report.failed else report.outcome\n"
        "        item.ihook.pytest_runtest_logreport(report=report)\n"
        "    item.name = 'again'\n"
        "    for report in runtestprotocol(item, nextitem=nextitem, log=False):\n"
        "        item.ihook.pytest_runtest_logreport(report=report)\n"
        "    return True\n",
        "18 checks failed, and a plugin hides that: first ",
    ),
    "plugin_says_all_is_well": plugin(
        "@pytest.hookimpl(trylast=True)\n"
        "def pytest_sessionfinish(session): session.exitstatus = 0\n"
        "def pytest_runtest_setup(item): pytest.skip('planted')\n",
        "gate: 229 skipped: planted",
    ),
    "plugin_says_so_last": plugin(
        "@pytest.hookimpl(wrapper=True, tryfirst=True)\n"
        "def pytest_sessionfinish(session):\n"
        "    yield\n"
        "    session.exitstatus = 0\n"
        "def pytest_runtest_setup(item): pytest.skip('planted')\n",
        "gate: 229 skipped: planted",
    ),
    "exit_at_first": plugin(
        "def pytest_runtest_setup(item): pytest.exit('bye', returncode=0)\n",
        "gate: 229 checks selected that never ran: ",
    ),
    "exit_in_between": Way(
        "gate: 121 checks selected that never ran: ",
        files={TOKENS: "import pytest\ndef test_a(): pytest.exit('bye', returncode=0)\n"},
    ),
    "exit_at_collection": plugin(
        "def pytest_collection(): pytest.exit('bye', returncode=0)\n", NONE
    ),
    "exit_before_all": plugin(
        "def pytest_sessionstart(): pytest.exit('bye', returncode=0)\n",
        "gate: nothing was judged: pytest ended before it ran the suite",
    ),
    "exit_after_all": plugin(
        "def pytest_sessionfinish(): pytest.exit('bye', returncode=0)\n"
        "def pytest_runtest_setup(item): pytest.skip('planted')\n",
        "gate: ",
    ),
    "worker_dies": plugin(
        "import os\n"
        "def pytest_runtest_call(item): item.name.endswith('single_letter]') and os._exit(0)\n",
        "gate: conformance on cpu, 1 model: 223 of 229 checks",
        *("-n", "2"),
    ),
    "conftest_ignores": Way(
        f"gate: 120 checks of {TOKENS} not collected: pytest.ini, a conftest or a plugin; if that",
        files={f"{CONFORMANCE}/conftest.py": "collect_ignore = ['test_tokens.py']\n"},
    ),
    "conftest_ignores_late": Way(
        f"gate: 120 checks of {TOKENS} not collected: pytest.ini, a conftest or a plugin; if that",
        files={
            f"{CONFORMANCE}/conftest.py": "def pytest_ignore_collect(collection_path):\n"
            "    return collection_path.name == 'test_tokens.py' or None\n"
        },
    ),
    "settings_narrow": Way(
        "gate: 229 checks of tests/conformance/test_batches.py and 6 more not collected: ",
        swap=(
            "pytest.ini",
            "testpaths = tests/conformance tests/quantized",
            "testpaths = fixtures",
        ),
    ),
    "settings_deselect": Way(
        "gate: 228 checks left out by -k ",
        swap=("pytest.ini", "addopts = ", "addopts = -k 'ids_snapshot and task_sentence' "),
    ),
    "settings_beside": Way(
        UNKNOWN,  # with other settings the root's conftest.py is not found
        (CONFORMANCE,),
        {f"{CONFORMANCE}/pytest.ini": "[pytest]\n"},
        code=4,
    ),
    "module_skips": Way(
        "gate: 1 skipped: could not import 'no_such'",
        files={TOKENS: "import pytest\npytest.importorskip('no_such')\n"},
    ),
    "xfail_mark": Way(
        BY_HAND,
        files={LAST: "import pytest\n@pytest.mark.xfail\ndef test_plant(): assert False\n"},
    ),
    "xfail_mark_that_passes": Way(
        BY_HAND,
        files={LAST: "import pytest\n@pytest.mark.xfail(strict=False)\ndef test_plant(): pass\n"},
    ),
    "xfail_mark_of_a_module": Way(
        BY_HAND,
        files={
            LAST: "import pytest\npytestmark = pytest.mark.xfail(run=False, reason='mine')\n"
            "def test_plant(): pass\n"
        },
    ),
    "xfail_called": Way(
        BY_HAND,
        files={LAST: "import pytest\ndef test_plant(): pytest.xfail('planted')\n"},
    ),
    "xfail_beside_a_known_failure": Way(
        BY_HAND,
        files={
            LAST: "import pytest\n@pytest.mark.xfail(reason='mine')\n"
            "def test_plant(): pytest.xfail('planted')\n",
            "fixtures/upstream_issues.toml": MINE,
        },
    ),
    "name_taken_twice": Way(
        f"gate: {TOKENS}::test_decoding_gives_the_text_back is gone",
        swap=(TOKENS, "def test_decoding_gives_the_text_back", "def test_bos_matches_registry"),
    ),
    "snapshot_unused": Way(
        f"gate: unused snapshots: {IDS}: plain.gone; remove with --snapshot-prune",
        ("-m", "not gpu"),
        swap=(f"{SNAPSHOTS}/{IDS}", "[plain.empty]\n", "[plain.gone]\n1 'a'\n\n[plain.empty]\n"),
    ),
    "snapshot_unused_of_one_model": Way(
        f"gate: unused snapshots: {IDS}: plain.gone; remove with --snapshot-prune",
        ("-m", "not gpu", "--models", "phi3"),
        swap=(f"{SNAPSHOTS}/{IDS}", "[plain.empty]\n", "[plain.gone]\n1 'a'\n\n[plain.empty]\n"),
    ),
    "known_failure_of_no_test": Way(
        "ERROR: fixtures/upstream_issues.toml: [planted] nodes: 'test_*[phi3-gone]' matches no",
        ("-m", "not gpu"),
        {"fixtures/upstream_issues.toml": GONE},
        code=4,
    ),
    "known_failure_of_no_test_distributed": Way(
        "fixtures/upstream_issues.toml: [planted] nodes: 'test_*[phi3-gone]' matches no test",
        ("-m", "not gpu", "-n", "2"),
        {"fixtures/upstream_issues.toml": GONE},
    ),
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


SLOW = {
    *("plugin_shortens_late", "plugin_shortens_in_workers", "plugin_deselects", "exit_at_first"),
    *("plugin_says_so_last", "exit_at_collection", "exit_after_all", "worker_dies"),
    *("conftest_ignores_late", "settings_beside", "xfail_mark_of_a_module", "settings_deselect"),
    *("snapshot_unused_of_one_model", "known_failure_of_no_test_distributed", "xfail_called"),
}


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else []) for name in PLANTS],
)
def test_plants(small: Path, name: str) -> None:
    way = PLANTS[name]
    file, old, new = way.swap
    if file:
        text = (small / file).read_text(encoding="utf-8")
        assert text.count(old) == 1
        (small / file).write_text(text.replace(old, new), encoding="utf-8")
    for path, text in way.files.items():
        plant(small, path, text)
    check(way, small)

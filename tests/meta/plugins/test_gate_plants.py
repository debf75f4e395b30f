"""What a plugin, a conftest.py or a test can do to a gated run: each is red and named, or meant."""

from pathlib import Path

import pytest

from tests.meta.plugins.test_gate_ways import NONE, UNKNOWN, Way, check
from tests.meta.support.small_project import (
    CASE,
    CONFORMANCE,
    IDS,
    KNOWN,
    LAST,
    SNAPSHOTS,
    TOKENS,
    plant,
    small,
)

__all__ = ["small"]  # a fixture

IMPLANT = "planted.py"  # a plugin, loaded by its name
GONE = KNOWN.replace(f"test_ids_snapshot[phi3-{CASE}]", "test_*[phi3-gone]")
MINE = KNOWN.replace(f"test_ids_snapshot[phi3-{CASE}]", "test_plant")
BY_HAND = "an expected failure that fixtures/upstream_issues.toml does not declare, but a mark or a"
FAILS = """
@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    yield
    assert 'plain' not in item.name

"""


def plugin(text: str, says: str, *options: str) -> Way:
    return Way(says, ("-p", "planted", *options), {IMPLANT: f"import pytest\n{text}"})


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

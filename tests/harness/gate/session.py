"""`--gate` in a run: what it refuses, what it watches; and how the ledger is renewed."""

import os
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest

from ..data.registry import registry
from ..errors import DataError
from ..files import PROJECT, write_atomically
from ..plugins.results import RESULTS, Results
from ..plugins.selection import collects_all, distributed
from ..plugins.tokenizers import KEYS, SOURCES, WEIGHTS
from .differences import count_of, difference_lines
from .judgement import gate_problems
from .ledger import LEDGER, UPDATE, format_ledger, read_ledger
from .scope import FOLDERS

_UPDATES = {
    "--snapshot-update": "update_snapshots",
    "--snapshot-update-new-only": "update_new_snapshots_only",
    "--snapshot-prune": "snapshot_prune",
    "--latency-save": "latency_save",
    "--evidence-update": "evidence_update",
}
# Plugins of pytest without which a check says less: warnings, and known failures that pass.
_NEEDED = ("warnings", "skipping", "unraisableexception", "threadexception")
# Settings of pytest.ini that change no check.
_HARMLESS = ("cache_dir", "console_", "faulthandler_", "junit_", "tmp_path_", "verbosity_")
_JUDGED = pytest.StashKey[bool]()


def pytest_configure(config: pytest.Config) -> None:
    """Refuse what would change a check without a word, and updates; each is one line."""
    gate = config.getoption("gate")
    if config.getoption("gate_partial") and not gate:
        raise pytest.UsageError("--gate-partial says what --gate may leave out: give both")
    if config.getoption("evidence_update"):
        _prepare_update(config)
    if not gate or hasattr(config, "workerinput"):
        return
    if config.getoption("endpoint") or config.getoption("gguf"):
        raise pytest.UsageError("--gate judges what is pinned: leave out --endpoint and --gguf")
    for option, name in _UPDATES.items():
        if config.getoption(name, None):
            raise pytest.UsageError(
                f"--gate and {option} exclude each other: a gate judges by what was reviewed"
            )
    if reason := _reason_to_refuse(config):
        raise pytest.UsageError(f"--gate: {reason}: it changes what a check proves")


def _reason_to_refuse(config: pytest.Config) -> str:
    """What makes a passing check mean less; empty if there is nothing."""
    if not config.inipath or config.inipath.resolve() != PROJECT / "pytest.ini":
        return f"leave out -c, the settings are those of {config.inipath}, not of pytest.ini"
    for setting in config.getoption("override_ini") or []:
        if not setting.startswith(_HARMLESS):
            return f"leave out -o {setting}"
    if filters := config.getoption("pythonwarnings", None):
        return f"leave out -W {filters[0]}"
    if config.getoption("runxfail", False):
        return "leave out --runxfail"
    blocked = [name for name in _NEEDED if not config.pluginmanager.has_plugin(name)]
    return f"leave out -p no:{blocked[0]}" if blocked else ""


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, Any, Any]:
    """Fail a test whose function nobody called: a plugin that only pretends is no evidence."""
    if not pyfuncitem.config.getoption("gate"):
        return (yield)
    function: Callable[..., Any] = pyfuncitem.obj
    calls = []

    def counted(**given: Any) -> Any:
        __tracebackhide__ = True
        calls.append(1)
        return function(**given)

    pyfuncitem.obj = counted
    try:
        result = yield
    finally:
        pyfuncitem.obj = function
    if not calls:
        pytest.fail("the test's function was not called: a plugin took its place", pytrace=False)
    return result


def judge(config: pytest.Config, results: Results) -> list[str]:
    """The gate's problems at the end of a run."""
    config.stash[_JUDGED] = True
    return gate_problems(config, results)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_cmdline_main(
    config: pytest.Config,
) -> Generator[None, int | pytest.ExitCode | None, int | pytest.ExitCode | None]:
    """Let no run end well that the gate did not judge, or whose problems somebody overruled."""
    code = yield
    asked = config.getoption("help", False) or config.getoption("version", False)
    if code or asked or not config.getoption("gate") or hasattr(config, "workerinput"):
        return code
    results = config.stash.get(RESULTS, None)
    if _JUDGED not in config.stash or results is None:
        print("gate: nothing was judged: pytest ended before it ran the suite", flush=True)
    elif not results.problems:
        return code
    return pytest.ExitCode.TESTS_FAILED


def _folders() -> list[Path]:
    """What the ledger counts, as far as this project has it."""
    return [folder for folder in FOLDERS if folder.exists()]


def _prepare_update(config: pytest.Config) -> None:
    """Collect all that the ledger counts, whatever this machine and its options would run."""
    folders = _folders()
    if config.args_source is pytest.Config.ArgsSource.TESTPATHS:
        config.args = list(map(str, folders))
    if os.environ.get("CI"):
        raise pytest.UsageError("--evidence-update is refused when CI is set: review its diff")
    keys = config.stash[KEYS]
    whole = set(keys) == set(registry()) and all(collects_all(config, folder) for folder in folders)
    if distributed(config) or not whole:
        raise pytest.UsageError(f"--evidence-update counts everything, here: {UPDATE}")
    if config.stash[SOURCES].default != "bundle" or "dummy" in config.stash[WEIGHTS].values():
        raise pytest.UsageError("--evidence-update: leave out --source hub and --weights dummy")


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> bool | None:
    """Run nothing when the ledger is renewed."""
    return True if session.config.getoption("evidence_update") else None


def update_ledger(session: pytest.Session, results: Results) -> list[str]:
    """Write the ledger if everything could be collected; the problem if not."""
    if results.collection is None or not all(map(results.collection.knows, _folders())):
        return ["--evidence-update: nothing written: not every test file could be collected"]
    cells = dict(results.collection.cells)
    text = format_ledger(cells)
    before = LEDGER.read_text(encoding="utf-8") if LEDGER.exists() else ""
    try:
        lines = difference_lines(read_ledger(), cells)
    except DataError:
        lines = ["written anew"]
    if text != before:
        write_atomically(LEDGER, text)
    results.missing_evidence.clear()  # nothing was to run
    total = count_of(sum(cells.values()), "check")
    done = "written" if text != before else "as it was"
    results.notes += [f"fixtures/{LEDGER.name}: {total}, {done}", *lines]
    return []

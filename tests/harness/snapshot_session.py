"""When snapshots are saved or removed: only what a whole, sound run has earned."""

import os
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest

from . import snapshots
from .models import DataError
from .options import versions
from .results import RESULTS, Results, model_of
from .secrets import scrub
from .selection import SUITES, covers, distributed, is_complete, suite_of
from .snapshots import SnapshotFile, format_snapshot_file, read_snapshot_file, update_command

SNAPSHOTS = "__snapshots__"  # in each folder of SUITES
VERSIONS = ("transformers", "tokenizers")
FINISHED = (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Refuse what could bless or lose; turn syrupy's own clean-up off for good."""
    config.option.no_cleanup = True
    config.option.default_extension = "tests.harness.snapshots.RowsExtension"
    snapshots.files.clear()
    snapshots.pending.clear()
    names = [
        name for name in ("update_snapshots", "update_new_snapshots_only") if config.getoption(name)
    ]
    if config.getoption("snapshot_prune"):
        names.append("snapshot_prune")
        if not any(is_complete(config, suite) for suite in SUITES):
            raise pytest.UsageError(
                "--snapshot-prune needs a complete run: pytest tests/conformance --snapshot-prune"
            )
    option = "--snapshot-prune" if "snapshot_prune" in names else "--snapshot-update"
    if names and os.environ.get("CI"):
        raise pytest.UsageError(f"{option} is refused when CI is set: update on your own machine")
    if names and distributed(config):
        raise pytest.UsageError(f"{option} cannot run distributed: leave out -n")


def write_atomically(path: Path, text: str) -> None:
    """Replace a file whole or not at all, whatever happens to the process or the disk."""
    path.parent.mkdir(exist_ok=True)
    for leftover in path.parent.glob(f".{path.name}.*"):  # of a killed process
        leftover.unlink()
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(text.encode())
            stream.flush()
            os.fsync(stream.fileno())
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def objection(session: pytest.Session, results: Results, path: Path) -> str | None:
    """Why a snapshot file must not be saved; None if all the model's tests there ran and held."""
    config, key, suite = session.config, path.name.partition(".")[0], path.parents[1]
    if session.exitstatus not in FINISHED:
        return "the run was interrupted"
    if results.left_out or not covers(config, suite):
        return "not all its tests were selected"
    tests = [n for n in results.selected if suite_of(config, n) == suite and model_of(n) == key]
    broken = [node for node in tests if results.outcome(node) in ("failed", "error")]
    if broken:
        return f"{len(broken)} of its tests failed, first {broken[0].partition('::')[2]}"
    unrun = [node for node in tests if results.outcome(node) not in ("passed", "known")]
    return f"{len(unrun)} of its {len(tests)} tests did not run" if unrun else None


def save(session: pytest.Session, results: Results) -> list[str]:
    """Write the pending blocks of models whose tests held; lines about the others."""
    problems = []
    for path, blocks in snapshots.pending.items():
        if reason := objection(session, results, path):
            problems.append(
                f"{path.name}: {len(blocks)} snapshots NOT saved, the old ones are kept: {reason}; "
                f"run: {update_command(path)}"
            )
            continue
        old = read_snapshot_file(path)
        recorded = {name: number for name, number in versions().items() if name in VERSIONS}
        content = SnapshotFile(recorded, {**old.blocks, **blocks})
        if scrub(text := format_snapshot_file(path, content)) != text:
            problems.append(f"{path.name}: NOT saved, the old file is kept: it would hold a secret")
            continue
        try:
            write_atomically(path, text)
        except OSError as error:
            problems.append(f"{path.name}: not saved, the old file is kept: {error.strerror}")
    return problems


def wanted(config: pytest.Config, results: Results) -> dict[Path, set[str]]:
    """The cases the run's snapshot tests ask for, by file; from node ids, so also under xdist."""
    cases: dict[Path, set[str]] = {}
    for node in results.nodes():
        if "test_snapshots.py" in node and (suite := suite_of(config, node)):
            name, _, parameters = node.partition("::test_")[2].partition("[")
            key, _, case = parameters[:-1].partition("-")
            path = suite / SNAPSHOTS / f"{key}.{name.removesuffix('_snapshot')}.txt"
            cases.setdefault(path, set()).add(case)
    return cases


def missing(asked: dict[Path, set[str]]) -> list[str]:
    """Cases without a recording, also where a known failure hides that, a line a file."""
    lines = []
    for path, cases in asked.items():
        if lost := sorted(cases - set(read_snapshot_file(path).blocks)):
            lines.append(f"{path.name}: {', '.join(lost)}")
    return lines


def unused(config: pytest.Config, asked: dict[Path, set[str]]) -> dict[Path, list[str]]:
    """Recorded cases that no test asks for, by file, in the folders the run covers completely."""
    stale = {}
    folders = [suite / SNAPSHOTS for suite in SUITES if is_complete(config, suite)]
    for path in sorted(path for folder in folders for path in folder.glob("[!.]*")):
        blocks = read_snapshot_file(path).blocks
        if extra := [case for case in blocks if case not in asked.get(path, set())]:
            stale[path] = extra
    return stale


def prune(config: pytest.Config, asked: dict[Path, set[str]]) -> None:
    """Remove recorded cases that no test asks for."""
    for path, cases in unused(config, asked).items():
        content = read_snapshot_file(path)
        kept = {name: rows for name, rows in content.blocks.items() if name not in cases}
        if kept:
            write_atomically(path, format_snapshot_file(path, replace(content, blocks=kept)))
        else:
            path.unlink()


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Save, prune, or say what is unused."""
    config, results = session.config, session.config.stash[RESULTS]
    if hasattr(config, "workerinput"):
        return
    try:
        results.problems += save(session, results)
        asked = wanted(config, results)
        if config.getoption("snapshot_prune"):
            if session.exitstatus == 0 and results.whole():
                prune(config, asked)
            else:
                results.problems.append("--snapshot-prune: nothing removed: the run was not green")
        results.missing = missing(asked)
        # Where a distributed run stopped early, what did not run is not known: nothing is unused.
        if results.whole() and session.exitstatus in FINISHED:
            stale = unused(config, asked)
            results.unused = [f"{path.name}: {', '.join(cases)}" for path, cases in stale.items()]
    except (DataError, OSError) as error:
        results.problems.append(f"snapshots: {error}")
    if results.problems and session.exitstatus == 0:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED

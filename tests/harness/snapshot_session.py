"""When snapshots are saved or removed: only what a whole, sound run has earned."""

import os
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest

from . import snapshots
from .models import DataError
from .options import versions
from .reporting import RESULTS, Results
from .selection import CONFORMANCE, covers_conformance, distributed, is_complete
from .snapshots import SnapshotFile, format_snapshot_file, read_snapshot_file

SNAPSHOTS = CONFORMANCE / "__snapshots__"
VERSIONS = ("transformers", "tokenizers")


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
        if not is_complete(config):
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


def objection(config: pytest.Config, results: Results, key: str) -> str | None:
    """Why a model's snapshots must not be saved; None if its contracts all ran and held."""
    if not covers_conformance(config):
        return "not all its contract tests were selected"
    contracts = [node for node in results.selected if is_contract(node) and model_of(node) == key]
    broken = [n for n in contracts if results.outcome(n) in ("failed", "error")]
    if broken:
        return f"{len(broken)} of its contract tests failed, first {broken[0].partition('::')[2]}"
    unrun = [n for n in contracts if results.outcome(n) not in ("passed", "known")]
    return f"{len(unrun)} of its {len(contracts)} contract tests did not run" if unrun else None


def is_contract(node: str) -> bool:
    """All conformance tests but the recordings."""
    return "tests/conformance/" in node and "test_snapshots.py" not in node


def model_of(node: str) -> str:
    """The model key in a node id such as `...[llama3_1-whitespace.tab]`."""
    return node.partition("[")[2].rstrip("]").partition("-")[0]


def save(config: pytest.Config, results: Results) -> list[str]:
    """Write the pending blocks of models whose contracts held; lines about the others."""
    problems = []
    for path, blocks in snapshots.pending.items():
        key = path.name.partition(".")[0]
        if reason := objection(config, results, key):
            problems.append(
                f"{path.name}: {len(blocks)} snapshots NOT saved, the old ones are kept: {reason}; "
                f"run: pytest tests/conformance --models {key} --snapshot-update"
            )
            continue
        old = read_snapshot_file(path)
        recorded = {name: number for name, number in versions().items() if name in VERSIONS}
        content = SnapshotFile(recorded, {**old.blocks, **blocks})
        try:
            write_atomically(path, format_snapshot_file(path, content))
        except OSError as error:
            problems.append(f"{path.name}: not saved, the old file is kept: {error.strerror}")
    return problems


def wanted(results: Results) -> dict[Path, set[str]]:
    """The cases the run's snapshot tests ask for, by file; from node ids, so also under xdist."""
    cases: dict[Path, set[str]] = {}
    for node in results.nodes():
        if "test_snapshots.py" in node:
            name, _, parameters = node.partition("::test_")[2].partition("[")
            key, _, case = parameters[:-1].partition("-")
            path = SNAPSHOTS / f"{key}.{name.removesuffix('_snapshot')}.txt"
            cases.setdefault(path, set()).add(case)
    return cases


def missing(results: Results) -> list[str]:
    """Cases without a recording, also where a known failure hides that, a line a file."""
    lines = []
    for path, cases in wanted(results).items():
        if lost := sorted(cases - set(read_snapshot_file(path).blocks)):
            lines.append(f"{path.name}: {', '.join(lost)}")
    return lines


def unused(results: Results) -> dict[Path, list[str]]:
    """Recorded cases that no test of a complete run asks for, by file."""
    asked, stale = wanted(results), {}
    for path in sorted(SNAPSHOTS.glob("*")):
        blocks = read_snapshot_file(path).blocks
        if extra := [case for case in blocks if case not in asked.get(path, set())]:
            stale[path] = extra
    return stale


def prune(results: Results) -> None:
    """Remove recorded cases that no test asks for."""
    for path, cases in unused(results).items():
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
        results.problems += save(config, results)
        if config.getoption("snapshot_prune"):
            if session.exitstatus == 0 and results.whole():
                prune(results)
            else:
                results.problems.append("--snapshot-prune: nothing removed: the run was not green")
        results.missing = missing(results)
        if is_complete(config) and results.whole():
            stale = unused(results)
            results.unused = [f"{path.name}: {', '.join(cases)}" for path, cases in stale.items()]
    except (DataError, OSError) as error:
        results.problems.append(f"snapshots: {error}")
    if results.problems and session.exitstatus == 0:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED

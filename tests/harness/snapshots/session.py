"""When snapshots are saved or removed: only after a complete run whose contracts held."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from ..data.registry import registry
from ..errors import DataError
from ..files import TESTS, write_atomically
from ..plugins.results import Results, with_sources
from ..plugins.selection import (
    SUITES,
    collects,
    covers,
    distributed,
    has_all_models,
    is_complete,
)
from ..plugins.tokenizers import KEYS, SOURCES
from ..redaction import redact
from ..versions import versions
from .check import inherited_rows, update_command
from .extension import SNAPSHOTS, RowsExtension, SnapshotStore
from .file import SnapshotFile, format_snapshot_file, model_key, read_snapshot_file

_VERSIONS = ("transformers", "tokenizers")
_FINISHED = (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)


def pytest_configure(config: pytest.Config) -> None:
    """Refuse options that could lose snapshots or record drift; turn off syrupy's clean-up."""
    config.option.no_cleanup = True
    config.option.default_extension = f"{RowsExtension.__module__}.{RowsExtension.__name__}"
    RowsExtension.store = SnapshotStore()
    prunes = config.getoption("snapshot_prune")
    names = ("update_snapshots", "update_new_snapshots_only", "snapshot_prune")
    if not any(map(config.getoption, names)):
        return
    if prunes and not any(is_complete(config, suite) for suite in SUITES):
        raise pytest.UsageError(
            "--snapshot-prune needs a complete run: pytest tests/conformance --snapshot-prune"
        )
    option = "--snapshot-prune" if prunes else "--snapshot-update"
    if os.environ.get("CI"):
        raise pytest.UsageError(f"{option} is refused when CI is set: update on your own machine")
    if distributed(config):
        raise pytest.UsageError(f"{option} cannot run distributed: leave out -n")


def settle_snapshots(session: pytest.Session, results: Results) -> list[str]:
    """Save, prune, or note what is missing and unused; a line for each thing that was not done."""
    try:
        problems = _save(session, results)
        unused = _unused(session.config, results)
        if session.config.getoption("snapshot_prune"):
            if session.exitstatus == 0 and results.is_complete() and not problems:
                _prune(unused)
                unused = {}
            else:
                problems.append("--snapshot-prune: nothing removed: the run was not green")
        results.missing_snapshots = _missing(results)
        results.unused_snapshots = [f"{p.name}: {', '.join(c)}" for p, c in unused.items()]
    except (DataError, OSError) as error:
        return [f"snapshots: {error}"]
    return problems


def reason_not_to_save(session: pytest.Session, results: Results, path: Path) -> str | None:
    """Why a snapshot file must not be saved; None if all the model's tests there ran and held."""
    key, suite = model_key(path), path.parents[1]
    if session.exitstatus not in _FINISHED:
        return "the run was interrupted"
    if results.left_out or not covers(session.config, suite):
        return "not all its tests were selected"
    checks = results.checks
    nodes = [n for n, c in checks.items() if (c.model, c.folder) == (key, suite.name)]
    broken = [node for node in nodes if results.outcomes.get(node) in ("failed", "error")]
    if broken:
        return f"{len(broken)} of its tests failed, first {broken[0].partition('::')[2]}"
    missing = [node for node in nodes if results.outcomes.get(node) not in ("passed", "known")]
    return f"{len(missing)} of its {len(nodes)} tests did not run" if missing else None


def _save(session: pytest.Session, results: Results) -> list[str]:
    """Write the pending blocks of models whose tests held; a line about each of the others."""
    problems = []
    sources = session.config.stash[SOURCES]
    for path, blocks in RowsExtension.store.pending.items():
        if reason := reason_not_to_save(session, results, path):
            command = with_sources(update_command(path), sources, (model_key(path),))
            problems.append(
                f"{path.name}: {len(blocks)} snapshots NOT saved, the old ones are kept: {reason}; "
                f"run: {command}"
            )
            continue
        old = read_snapshot_file(path)
        recorded = {name: number for name, number in versions().items() if name in _VERSIONS}
        text = format_snapshot_file(path, SnapshotFile(recorded, {**old.blocks, **blocks}))
        if redact(text) != text:
            problems.append(f"{path.name}: NOT saved, the old file is kept: it would hold a secret")
            continue
        try:
            path.parent.mkdir(exist_ok=True)
            write_atomically(path, text)
        except OSError as error:
            problems.append(f"{path.name}: not saved, the old file is kept: {error.strerror}")
    return problems


def _path(folder: str, model: str, kind: str) -> Path:
    return TESTS / folder / SNAPSHOTS / f"{model}.{kind}.txt"


def _missing(results: Results) -> list[str]:
    """Selected cases without a snapshot, also where a known failure hides that, a line a file."""
    selected: dict[Path, set[str]] = {}
    for check in results.checks.values():
        if check.snapshot:
            path = _path(check.folder, check.model, check.snapshot)
            selected.setdefault(path, set()).add(check.case)
    lines = []
    for path, cases in selected.items():
        model, kind = path.stem.split(".")
        there = set(read_snapshot_file(path).blocks)
        there |= {
            case
            for case in cases - there
            if inherited_rows(path.parents[1], registry()[model], kind, case)[0]
        }
        if missing := sorted(cases - there):
            lines.append(f"{path.name}: {', '.join(missing)}")
    return lines


def _unused(config: pytest.Config, results: Results) -> dict[Path, list[str]]:
    """Recorded cases that no test asks for, by file, in the folders that are collected whole.

    A test asks for its case whether it runs or not. Files of models that are not chosen are left
    out, and if all are chosen none is: then those of no model are unused.
    """
    if (collected := results.collection) is None:
        return {}
    folders = [suite for suite in SUITES if collects(config, suite) and collected.knows(suite)]
    asked: dict[Path, set[str]] = {}
    for *file, case in collected.recorded:
        asked.setdefault(_path(*file), set()).add(case)
    unused, chosen = {}, config.stash[KEYS]
    for path in sorted(path for suite in folders for path in (suite / SNAPSHOTS).glob("[!.]*")):
        key = model_key(path)
        if key not in chosen and (key in registry() or not has_all_models(config)):
            continue
        blocks = read_snapshot_file(path).blocks
        if extra := [case for case in blocks if case not in asked.get(path, set())]:
            unused[path] = extra
    return unused


def _prune(unused: dict[Path, list[str]]) -> None:
    for path, cases in unused.items():
        content = read_snapshot_file(path)
        kept = {name: rows for name, rows in content.blocks.items() if name not in cases}
        if kept:
            write_atomically(path, format_snapshot_file(path, replace(content, blocks=kept)))
        else:
            path.unlink()

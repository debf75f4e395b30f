"""The gate's verdict: each planned check needs an outcome, and what has none is named once."""

from collections import Counter
from collections.abc import Collection, Mapping

import pytest

from ..data.registry import default_keys
from ..errors import DataError
from ..files import TESTS
from ..model.device import NO_CUDA, has_cuda
from ..plugins.collection import Cell, Collected
from ..plugins.results import Results
from ..plugins.selection import SUITES
from .differences import count_of, difference_lines
from .ledger import device_of, key_of, read_ledger
from .scope import FOLDERS, Scope, is_whole, marks, narrowing, scope_of

_JUDGED = ("passed", "known", "failed")  # outcomes that say something of the model


def gate_problems(config: pytest.Config, results: Results) -> list[str]:
    """What could not be checked, a line each; empty if all evidence is there.

    Puts the run's scope into the results.
    """
    lines = _what_did_not_run(config, results)
    try:
        ledger = read_ledger()
    except DataError as error:
        return [f"gate: {line}" for line in (*lines, str(error))]
    scope = scope_of(config, ledger)
    counted = Counter({c: n for c, n in ledger.items() if scope.is_counted(c)})
    results.scope = _scope_line(config, scope, counted, results)
    lines += _uncounted(config, scope, counted, results)
    lines += [
        f"missing snapshots: {line}; record with --snapshot-update"
        for line in results.missing_snapshots
    ]
    lines += [
        f"unused snapshots: {line}; remove with --snapshot-prune"
        for line in results.unused_snapshots
    ]
    return [f"gate: {line}" for line in lines + results.missing_evidence]


def _what_did_not_run(config: pytest.Config, results: Results) -> list[str]:
    """No device, nothing at all, or skips."""
    expression, lines = marks(config), []
    no_gpu = "gpu" in expression.replace("not gpu", "") and not has_cuda()
    if no_gpu:
        lines.append(f"there is no CUDA device, and -m {expression!r} selects tests that need one")
    elif all(outcome == "skipped" for outcome in results.outcomes.values()):
        selection = f" (-m {expression!r})" if expression else ""
        lines.append(f"nothing ran: no selected test could be executed{selection}")
    lines += [
        f"{count} skipped: {reason}"
        for reason, count in results.skips.items()
        if not (no_gpu and reason == NO_CUDA)  # reported above
    ]
    return lines


def _uncounted(
    config: pytest.Config, scope: Scope, counted: Mapping[Cell, int], results: Results
) -> list[str]:
    """What the ledger counts and nobody collected, selected or ran; and what it does not count."""
    collection = results.collection
    if not scope.folders:
        names = ", ".join(f"tests/{folder.name}" for folder in FOLDERS)
        return [f"nothing of the suite was asked for, which is {names}"]
    if collection is None:
        return ["what was collected is not known: no process of -n came to its end"]
    found = {cell: number for cell, number in collection.cells if scope.is_counted(cell)}
    files = {cell.file for cell in counted}
    unknown = {file for file in files if not _is_known(config, file, collection)}
    lines = difference_lines(
        {cell: n for cell, n in counted.items() if cell.file not in unknown},
        {cell: n for cell, n in found.items() if cell.file not in unknown or cell not in counted},
    )
    if not config.getoption("gate_partial"):
        lines += _left_out(config, scope, counted, collection, unknown)
    if removed := collection.removed:
        count = count_of(len(removed), "check")
        lines.append(f"{count} taken away without a word by a plugin or conftest: {removed[0]}")
    if waiting := [node for node in results.selected if node not in results.outcomes]:
        lines.append(f"{count_of(len(waiting), 'check')} selected that never ran: {waiting[0]}")
    return lines


def _is_known(config: pytest.Config, file: str, collection: Collected) -> bool:
    """Whether all tests of a file are known: it was collected whole, or is not there."""
    return not (TESTS / file).exists() or (file in collection.modules and is_whole(config, file))


def _left_out(
    config: pytest.Config,
    scope: Scope,
    counted: Mapping[Cell, int],
    collection: Collected,
    unknown: Collection[str],
) -> list[str]:
    """Planned checks that were taken away, or whose files were not collected."""
    by = narrowing(config) or "pytest.ini, a conftest or a plugin"
    meant = "; if that is meant: --gate-partial"
    found, lines = dict(collection.cells), []
    deselected = sum(n for cell, n in collection.deselected if scope.is_planned(cell))
    if deselected:
        lines.append(f"{count_of(deselected, 'check')} left out by {by}{meant}")
    unseen: Counter[str] = Counter()
    for cell, number in counted.items():
        if cell.file in unknown and scope.is_planned(cell):
            unseen[cell.file] += number - min(number, found.get(cell, 0))
    if files := sorted(+unseen):
        number, more = sum(unseen.values()), f" and {len(files) - 1} more" * (len(files) > 1)
        where = f"tests/{files[0]}{more}"
        lines.append(f"{count_of(number, 'check')} of {where} not collected: {by}{meant}")
    return lines


def _scope_line(
    config: pytest.Config, scope: Scope, counted: Mapping[Cell, int], results: Results
) -> str:
    """`gate: conformance on cpu, 6 models: 5,213 of 5,213 checks; gpu: left out by ...`."""
    planned = {cell: number for cell, number in counted.items() if scope.is_planned(cell)}
    judged = Counter(
        cell for node, cell in results.cells.items() if results.outcomes[node] in _JUDGED
    )
    done = sum(min(number, judged[cell]) for cell, number in planned.items())
    devices = sorted({device_of(cell.model) for cell in planned}) or ["no device"]
    models = count_of(len({key_of(cell.model) for cell in planned} - {""}), "model")
    if len(scope.keys) < len(default_keys()):
        models += f" of {len(default_keys())}"
    partial = "partial, by --gate-partial: " if config.getoption("gate_partial") else ""
    there = {cell.file.partition("/")[0] for cell in planned}
    folders = " and ".join(sorted(there)) or "nothing"
    what = f"{partial}{folders} on {' and '.join(devices)}, {models}"
    line = f"gate: {what}: {done:,} of {sum(planned.values()):,} checks"
    return "; ".join([line, *_said_to_be_left_out(config, scope)])


def _said_to_be_left_out(config: pytest.Config, scope: Scope) -> list[str]:
    """What options that are made for it leave out."""
    others = [folder.name for folder in SUITES if folder.name not in scope.folders]
    left_out = [f"{name}: not asked for" for name in others]
    if scope.device:
        device = {"cpu": "gpu", "cuda": "cpu"}[scope.device]
        left_out.append(f'{device}: left out by -m "{marks(config)}"')
    if scope.dummies:
        left_out.append("trained weights: left out by --weights dummy")
    if scope.from_hub and "conformance" in scope.folders and scope.device != "cuda":
        left_out.append("small files without a published hash: left out by --source hub")
    if config.getoption("gate_partial") and (by := narrowing(config)):
        left_out.append(f"narrowed by {by}")
    return left_out

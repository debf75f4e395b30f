"""`--gate`: missing evidence fails the run."""

import pytest

from ..model.device import NO_CUDA, has_cuda
from .results import Results


def gate_problems(config: pytest.Config, results: Results) -> list[str]:
    """What could not be checked, a line each; empty if all evidence is there."""
    lines = []
    expression = config.getoption("markexpr") or ""
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
    lines += [
        f"missing snapshots: {line}; record with --snapshot-update"
        for line in results.missing_snapshots
    ]
    lines += [
        f"unused snapshots: {line}; remove with --snapshot-prune"
        for line in results.unused_snapshots
    ]
    return [f"gate: {line}" for line in lines + results.missing_evidence]

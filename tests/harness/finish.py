"""What happens at the end of a run, in this order: the suite's only end-of-session hook.

Imports every package of the harness: it calls each of them once.
"""

import pytest

from .gate.session import judge, update_ledger
from .latency.session import save_latency
from .plugins.known_failures import dead_known_failures
from .plugins.redaction import redact_files
from .plugins.results import RESULTS, Results
from .reports.session import write_reports
from .snapshots.session import settle_snapshots

_GREEN = (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED)


@pytest.hookimpl(trylast=True)  # once pytest has written JUnit file and cache, syrupy its blocks
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Redact others' files, save what the run has earned, set the status, write the reports."""
    config = session.config
    if hasattr(config, "workerinput"):
        return  # the controller of a distributed run does this once
    redact_files(config)
    results = config.stash[RESULTS]
    results.problems += _hidden_failures(session, results)
    results.problems += settle_snapshots(session, results)
    results.problems += save_latency(session, results)
    results.problems += dead_known_failures(results)
    if config.getoption("evidence_update"):
        results.problems += update_ledger(session, results)
    if config.getoption("gate"):
        results.problems += judge(config, results)
    _fail_if_problems(session, results)
    results.problems += write_reports(session, results)  # they hold all of the above
    _fail_if_problems(session, results)


def _hidden_failures(session: pytest.Session, results: Results) -> list[str]:
    """A line if checks failed that a plugin has turned into passes, or has tried again."""
    if session.exitstatus != pytest.ExitCode.OK or not (failures := results.failures()):
        return []
    return [f"{len(failures)} checks failed, and a plugin hides that: first {failures[0].node}"]


def _fail_if_problems(session: pytest.Session, results: Results) -> None:
    if results.problems and session.exitstatus in _GREEN:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED

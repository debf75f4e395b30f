"""What happens when a run ends, in this order. Nothing else of ours settles a run.

This stands above all other packages, since it calls each of them once.
"""

import pytest

from .latency.session import save_latency
from .plugins.gate import gate_problems
from .plugins.known_failures import dead_known_failures
from .plugins.results import RESULTS, Results
from .reports.session import write_reports
from .snapshots.session import settle_snapshots

_GREEN = (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED)


@pytest.hookimpl(trylast=True)  # after syrupy has handed over what an update would write
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Save what the run has earned, look for missing evidence, settle the status, report."""
    config = session.config
    if hasattr(config, "workerinput"):
        return  # the controller of a distributed run does this once
    results = config.stash[RESULTS]
    results.problems += settle_snapshots(session, results)
    results.problems += save_latency(session, results)
    results.problems += dead_known_failures(session, results)
    if config.getoption("gate"):
        results.problems += gate_problems(config, results)
    _fail_if_problems(session, results)
    results.problems += write_reports(session, results)  # they hold all of the above
    _fail_if_problems(session, results)


def _fail_if_problems(session: pytest.Session, results: Results) -> None:
    if results.problems and session.exitstatus in _GREEN:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED

"""Hides secrets in all that a run prints or writes, and makes control characters visible.

Reports and warnings are sanitized before any other plugin sees them, in the process that made
them and again in the one that shows them, so that terminal, JUnit, pytest's cache and our own
reports have nothing to hide. What comes by no report is filtered where it is written.

Not covered: `-s` and `--capture=no` show what a test prints as it is; `--debug`, a debugger, a
log file and a crash of Python itself write past pytest.
"""

import sys
import traceback
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from ..console import FilteredStream
from ..redaction import adopt, redact, redact_for_terminal, sanitize, withdraw, withdrawn

_WITHDRAWN = "model_conformance_withdrawn"


@pytest.hookimpl(tryfirst=True)  # nobody else reads the environment before
def pytest_configure(config: pytest.Config) -> None:
    """Take the secrets out of the environment; pytest's reporter takes a filtered stdout."""
    withdraw()
    adopt(getattr(config, "workerinput", {}).get(_WITHDRAWN, {}))
    sys.excepthook = _print_uncaught
    if config.pluginmanager.has_plugin("terminal"):
        # Explanations of failed comparisons would hold colours that look like a model's own.
        config.option.code_highlight = "no"
        filtered: Any = FilteredStream(sys.stdout, redact_for_terminal)
        sys.stdout = filtered
        config.add_cleanup(_restore_stdout)


def _restore_stdout() -> None:
    """Let others print as they will, workflow commands for GitHub above all."""
    if isinstance(sys.stdout, FilteredStream):
        sys.stdout = sys.stdout.stream


def _print_uncaught(*error: Any) -> None:
    print(sanitize("".join(traceback.format_exception(*error))), file=sys.stderr, end="")


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Hand a worker of xdist what to hide, past its environment, which tests can read."""
    node.workerinput[_WITHDRAWN] = dict(withdrawn)


def pytest_sessionstart() -> None:
    """The reporter has the filtered stream now: nobody else needs it."""
    _restore_stdout()


@pytest.hookimpl(tryfirst=True)  # before syrupy's, which is so, too
def pytest_assertrepr_compare(op: str, left: object, right: object) -> list[str] | None:
    """Explain values that hold a secret, before pytest cuts them and no longer knows it."""
    with suppress(Exception):  # a value without a working repr: pytest can show that
        explanation = f"{left!r} {op} {right!r}"
        if (redacted := redact(explanation)) != explanation:
            return [redacted]
    return None


@pytest.hookimpl(tryfirst=True)  # terminal, JUnit and cache come later, but register later, too
def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Sanitize all that a test reports; for most tests that passed, this is nothing."""
    for index, (name, value) in enumerate(report.user_properties):
        plain = value if isinstance(value, int | float | None) else str(value)
        report.user_properties[index] = sanitize(name), sanitize(plain)
    if not report.passed or report.sections:
        vars(report).update(sanitize(vars(report)))


@pytest.hookimpl(tryfirst=True)  # as for tests
def pytest_collectreport(report: pytest.CollectReport) -> None:
    """Sanitize what a module printed or raised while it was imported."""
    if not report.passed or report.sections:
        report.longrepr, report.sections = sanitize([report.longrepr, report.sections])


@pytest.hookimpl(tryfirst=True)  # as for tests
def pytest_warning_recorded(warning_message: warnings.WarningMessage) -> None:
    """Sanitize a warning before it is shown or sent; its class is shown beside the message."""
    warning_message.message = sanitize(str(warning_message.message))
    warning_message.line = redact(warning_message.line or "") or None


def redact_files(config: pytest.Config) -> None:
    """Redact what comes by no report: the whole run's JUnit properties, and ids in the cache."""
    junit = config.getoption("xmlpath", None)
    if junit and Path(junit).is_file():
        text = Path(junit).read_text(encoding="utf-8")
        if (redacted := redact(text)) != text:
            Path(junit).write_text(redacted, encoding="utf-8")
    if cache := getattr(config, "cache", None):  # not with `-p no:cacheprovider`
        for name in ("cache/lastfailed", "cache/nodeids"):
            nodes = cache.get(name, None)
            if (sanitized := sanitize(nodes)) != nodes:
                cache.set(name, sanitized)


@pytest.hookimpl(optionalhook=True)
def pytest_benchmark_update_json(output_json: dict[str, Any]) -> None:
    """Sanitize what pytest-benchmark is about to save."""
    output_json.update(sanitize(output_json))

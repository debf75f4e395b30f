"""Every way out of a run is clean: no secret, no control character or command of a model's text.

What a test says leaves it as a report or a warning. These are cleaned first of all, in the process
that made them and again in the one that shows them, so that terminal, JUnit, pytest's cache and
our own reports, which all read them, have nothing to hide. Behind that stand filters on what does
not come by a report: the terminal, the log file, the JUnit file, pytest-benchmark's data.

Not covered: `-s` and `--capture=no` show what a test prints as it is, and `--debug`, a debugger and
a crash of Python itself write past pytest.
"""

import os
import secrets as random
import sys
import traceback
import warnings
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from tests.harness.console import RedactingStream
from tests.harness.redaction import (
    adopt,
    clean,
    clean_for_terminal,
    cleaned,
    redact,
    withdraw,
    withdrawn,
)

# Read at once: what is started from here is no step of its own.
ON_GITHUB = os.environ.get("GITHUB_ACTIONS") == "true"
WITHDRAWN = "model_conformance_withdrawn"


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Take the secrets out of the environment, and filter the terminal."""
    withdraw()
    adopt(getattr(config, "workerinput", {}).get(WITHDRAWN, {}))
    if config.pluginmanager.has_plugin("terminalreporter"):
        writer: Any = config.get_terminal_writer()
        writer._file = RedactingStream(writer._file, clean_for_terminal)
    sys.excepthook = print_cleanly


def print_cleanly(*error: Any) -> None:
    """Print an exception that nobody caught, pytest included."""
    print(clean("".join(traceback.format_exception(*error))), file=sys.stderr, end="")


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a worker of xdist what to hide: past its environment, which tests can read."""
    node.workerinput[WITHDRAWN] = dict(withdrawn)


def pytest_sessionstart(session: pytest.Session) -> None:
    """Filter the logs; without pytest's colours, which nobody could tell from a model's."""
    logging: Any = session.config.pluginmanager.get_plugin("logging-plugin")
    if not logging:
        return
    plain = logging.log_file_handler.formatter
    logging.report_handler.setFormatter(plain)
    for handler in (logging.log_file_handler, logging.log_cli_handler):
        if stream := getattr(handler, "stream", None):
            handler.setFormatter(plain)
            handler.setStream(RedactingStream(stream, clean))


def pytest_itemcollected(item: pytest.Item) -> None:
    """Hide secrets in the id of a test, which pytest keeps in its cache, too."""
    if (clear := redact(item.nodeid)) != item.nodeid:
        node: Any = item  # pytest's interface can read an id, not set it
        node.name, node._id = redact(item.name), type(node.id).parse(clear)


@pytest.hookimpl(wrapper=True)
def pytest_assertrepr_compare(config: pytest.Config) -> Generator[None, Any, Any]:
    """Explain without colours: in a report, an escape sequence is never pytest's own."""
    if not config.pluginmanager.has_plugin("terminalreporter"):
        return (yield)
    writer = config.get_terminal_writer()
    before, writer.code_highlight = writer.code_highlight, False
    try:
        return (yield)
    finally:
        writer.code_highlight = before


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Clean all that a test said; for most tests that passed, this is nothing."""
    properties = [(name, plain(value)) for name, value in report.user_properties]
    report.user_properties = cleaned(properties)
    if not report.passed or report.sections:
        vars(report).update(cleaned(vars(report)))


def plain(value: object) -> object:
    """A property as the reports write it."""
    return value if isinstance(value, int | float | None) else str(value)


@pytest.hookimpl(tryfirst=True)
def pytest_collectreport(report: pytest.CollectReport) -> None:
    """Clean what was said while a module was imported."""
    if not report.passed or report.sections:
        report.longrepr, report.sections = cleaned([report.longrepr, report.sections])


@pytest.hookimpl(tryfirst=True)
def pytest_warning_recorded(warning_message: warnings.WarningMessage) -> None:
    """Clean a warning before it is shown or sent; its class stands beside the message."""
    warning_message.message = clean(str(warning_message.message))
    warning_message.line = redact(warning_message.line or "") or None


@pytest.hookimpl(wrapper=True)
def pytest_runtestloop(session: pytest.Session) -> Generator[None, Any, Any]:
    """On GitHub, let no output obey while tests run, also what passes pytest by."""
    reporter: Any = session.config.pluginmanager.get_plugin("terminalreporter")
    if not (ON_GITHUB and reporter):
        return (yield)
    word = random.token_hex(16)
    reporter.flush()
    print(f"::stop-commands::{word}", flush=True)  # past the filter, which would break it
    try:
        return (yield)
    finally:
        reporter.flush()
        print(f"\n::{word}::", flush=True)  # heard at the beginning of a line alone


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> Generator[None, Any, Any]:
    """Look once more at the JUnit file: properties of the whole run come by no report."""
    try:
        return (yield)
    finally:
        junit = session.config.getoption("xmlpath", None)
        if junit and Path(junit).is_file():
            text = Path(junit).read_text(encoding="utf-8")
            if (clear := redact(text)) != text:
                Path(junit).write_text(clear, encoding="utf-8")


@pytest.hookimpl(optionalhook=True, trylast=True)
def pytest_benchmark_update_json(output_json: dict[str, Any]) -> None:
    """Clean what pytest-benchmark is about to save."""
    output_json.update(cleaned(output_json))

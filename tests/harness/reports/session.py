"""What files hold of a run as a whole: those of `--report-dir`, and the properties of JUnit's."""

import json
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import pytest

from ..files import write_atomically
from ..latency.machine import identity
from ..model.device import has_cuda
from ..plugins.results import Results
from ..plugins.tokenizers import KEYS, SOURCES, weights_of
from ..redaction import redact
from ..versions import versions
from .collect import collect
from .page import page

_OPTION = "--report-dir"


class ReportRun:
    """Where the report goes, and when the run started."""

    def __init__(self, folder: Path) -> None:
        """Start the clock."""
        self.folder = folder
        self.started = datetime.now(UTC).isoformat(timespec="seconds")
        self.clock = time.monotonic()
        self.distributed = 0  # tests that the workers collected
        self.written: Path | None = None

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: Sequence[str]) -> None:
        """Count the tests: xdist's controller collects none itself."""
        self.distributed = max(self.distributed, len(ids))

    def write(self, session: pytest.Session, results: Results) -> list[str]:
        """Write the report; a line if that cannot be done."""
        selected = len(results.selected) or self.distributed
        seconds = time.monotonic() - self.clock
        data = collect(session, selected, self.started, seconds)
        try:
            _write(self.folder, data)
            self.written = self.folder / "report.html"
        except OSError as error:
            return [f"{_OPTION} {self.folder}: not written: {error.strerror}"]
        return []

    @pytest.hookimpl(trylast=True)  # the last line a person reads
    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Print its path."""
        if self.written:
            terminalreporter.write_line(f"report: {self.written}")


_RUN = pytest.StashKey[ReportRun]()


def _write(folder: Path, data: dict[str, Any]) -> None:
    """Replace both files, each whole or not at all; OSError passes through."""
    for leftover in folder.glob(".report.*"):  # of a killed process
        leftover.unlink()
    texts = {"report.json": json.dumps(data, indent=1) + "\n", "report.html": page(data)}
    for name, text in texts.items():
        write_atomically(folder / name, partial(Path.write_text, data=text, encoding="utf-8"))


def _check_writable(folder: Path) -> None:
    """UsageError if no file can be made in the folder, which is made if need be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise pytest.UsageError(
            f"{_OPTION} {folder}: cannot write there: {error.strerror}"
        ) from None


def pytest_configure(config: pytest.Config) -> None:
    """Check the folder before anything is collected."""
    option = config.getoption("report_dir")
    if option and not hasattr(config, "workerinput"):
        folder = config.invocation_params.dir / option
        _check_writable(folder)
        config.stash[_RUN] = ReportRun(folder)
        config.pluginmanager.register(config.stash[_RUN], "conformance-report")


def pytest_sessionstart(session: pytest.Session) -> None:
    """Add JUnit's properties: versions, sources, weights and device are known by now."""
    # The writer is recognized by the method that `record_testsuite_property` wraps: that fixture
    # itself reaches no file under xdist, and the plugin's key is private.
    config = session.config
    plugins = config.pluginmanager.list_name_plugin()  # get_plugins() fails on unhashable ones
    for writer in (plugin for _, plugin in plugins if hasattr(plugin, "add_global_property")):
        for name, value in _junit_properties(config).items():
            writer.add_global_property(name, redact(value))


def _junit_properties(config: pytest.Config) -> dict[str, str]:
    sources = config.stash[SOURCES]
    values = {f"version {name}": number for name, number in versions().items()}
    values |= {f"source {key}": sources.of(key) for key in config.stash[KEYS]}
    values |= {f"weights {key}": kind for key, kind in weights_of(config).items()}
    return values | {"device": identity("cuda")["device"] if has_cuda() else "no CUDA device"}


def write_reports(session: pytest.Session, results: Results) -> list[str]:
    """Write the files of `--report-dir`; a line if that cannot be done."""
    run = session.config.stash.get(_RUN, None)
    return run.write(session, results) if run else []

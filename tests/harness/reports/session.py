"""What files hold of a run as a whole: those of `--report-dir`, and the properties of JUnit's."""

import json
import time
from dataclasses import dataclass
from datetime import UTC, datetime
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


@dataclass(eq=False)  # pytest keeps plugins in sets
class ReportRun:
    """Where the report goes, and when the run started."""

    folder: Path
    started: datetime
    clock: float  # seconds of a monotonic clock at the start
    written: Path | None = None

    @pytest.hookimpl(trylast=True)  # the last line a person reads
    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Print its path."""
        if self.written:
            terminalreporter.write_line(f"report: {self.written}")


_RUN = pytest.StashKey[ReportRun]()


def _write(folder: Path, data: dict[str, Any]) -> None:
    """Replace both files, each whole or not at all; OSError passes through."""
    texts = {"report.json": json.dumps(data, indent=1) + "\n", "report.html": page(data)}
    for name, text in texts.items():
        write_atomically(folder / name, text)


def pytest_configure(config: pytest.Config) -> None:
    """Make the folder, and a file in it, before anything is collected."""
    option = config.getoption("report_dir")
    if not option or hasattr(config, "workerinput"):
        return
    folder = config.invocation_params.dir / option
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):
            pass
    except OSError as error:
        problem = f"{_OPTION} {folder}: cannot write there: {error.strerror}"
        raise pytest.UsageError(problem) from None
    config.stash[_RUN] = ReportRun(folder, datetime.now(UTC), time.monotonic())
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
    if config.getoption("gate"):
        values["gate"] = "partial" if config.getoption("gate_partial") else "complete"
    return values | {"device": identity("cuda")["device"] if has_cuda() else "no CUDA device"}


def write_reports(session: pytest.Session, results: Results) -> list[str]:
    """Write the files of `--report-dir`; a line if that cannot be done."""
    run = session.config.stash.get(_RUN, None)
    if run is None:
        return []
    selected, started = len(results.selected), run.started.isoformat(timespec="seconds")
    data = collect(session, selected, started, time.monotonic() - run.clock)
    try:
        _write(run.folder, data)
    except OSError as error:
        return [f"{_OPTION} {run.folder}: not written: {error.strerror}"]
    run.written = run.folder / "report.html"
    return []

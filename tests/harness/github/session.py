"""Tells GitHub how a run ended, once all other output is there."""

import os
from collections.abc import Generator
from pathlib import Path, PurePosixPath

import pytest

from ..loading import SOURCES
from ..options import pytest_report_header, versions
from ..results import RESULTS, Results
from ..secrets import scrub
from .annotations import annotations
from .step_summary import append, parts

SUMMARY, ACTIONS = "GITHUB_STEP_SUMMARY", "GITHUB_ACTIONS"
Code = int | pytest.ExitCode | None


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> Generator[None, Code, Code]:
    """Write summary and annotations, also of a run that a mistake in the data ended."""
    # What this process starts (workers, measuring processes, tests of the suite itself) is no
    # step of its own: it must not find the names.
    step = {name: os.environ.pop(name) for name in (SUMMARY, ACTIONS) if name in os.environ}
    results, code = Results(), None
    try:
        code = yield
        results = config.stash.get(RESULTS, results)
        return code
    except pytest.UsageError as error:
        code, results = 4, Results(problems=[str(error)])
        raise
    finally:
        os.environ.update(step)
        if code or results.outcomes:  # neither of them: --help, --collect-only and the like
            tell(config, step, int(code or 0), results)


def tell(config: pytest.Config, step: dict[str, str], code: int, results: Results) -> None:
    """What the step's variables ask for; without them nothing."""
    if path := step.get(SUMMARY):
        environment = [", ".join(f"{name} {number}" for name, number in versions().items())]
        if SOURCES in config.stash:  # options and data were sound
            environment = pytest_report_header(config)
        try:
            append(Path(path), [scrub(it) for it in parts(code, results, environment)])
        except OSError as error:
            print(f"{SUMMARY}: no summary written: {error.strerror}", flush=True)
    if step.get(ACTIONS) == "true":
        for line in annotations(results.red(), results.problems, folder(config)):
            print(scrub(line), flush=True)


def folder(config: pytest.Config) -> PurePosixPath:
    """The project's folder within the repository that was checked out."""
    workspace = os.environ.get("GITHUB_WORKSPACE", "")
    if workspace and config.rootpath.is_relative_to(Path(workspace).resolve()):
        return PurePosixPath(config.rootpath.relative_to(Path(workspace).resolve()).as_posix())
    return PurePosixPath()

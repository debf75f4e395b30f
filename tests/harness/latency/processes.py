"""Further processes that measure the same benchmarks, one after the other, before this one."""

import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from ..data.registry import registry
from ..plugins.parametrize import placement_of
from ..plugins.tokenizers import KEYS, WEIGHTS, progress_past_capture, tokenizers_of
from ..sources.weights import from_hub
from .recording import Recording, read_recording


def _options(config: pytest.Config) -> list[str]:
    """The options of this run that decide what is measured."""
    keys: list[str] = config.stash[KEYS]
    given = ["--source", config.getoption("source"), "--models", ",".join(keys)]
    for name in ("model_dir", "weights"):
        given += [f"--{name.replace('_', '-')}={value}" for value in config.getoption(name)]
    return given


def _fetch_all(session: pytest.Session) -> None:
    """Fill the cache from the hub: the further processes get no login."""
    config = session.config
    for tokenizer in tokenizers_of(config).values():
        _ = tokenizer.folder
    for key in {placement[0] for item in session.items if (placement := placement_of(item))}:
        if config.stash[WEIGHTS][key] == "hub" and registry()[key].revision:
            from_hub(registry()[key], progress_past_capture(config))


def measure_in_processes(session: pytest.Session, number: int) -> list[Recording]:
    """Run this session's tests in `number` processes; one that fails is one line of failure."""
    config, nodes = session.config, [item.nodeid for item in session.items]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *nodes]
    command += [*_options(config), "--latency-processes", "1", "--latency-save"]
    say, recordings = progress_past_capture(config), []
    if number:
        _fetch_all(session)
    with TemporaryDirectory() as scratch:
        for index in range(1, number + 1):
            say(f"latency: process {index} of {number + 1}")
            path = Path(scratch) / f"{index}.json"
            done = subprocess.run(
                [*command, str(path)],
                cwd=config.rootpath,
                env={name: value for name, value in os.environ.items() if name != "PYTEST_ADDOPTS"},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
            )
            if done.returncode:
                pytest.fail(_first_failure(index, done.stdout), pytrace=False)
            recordings.append(read_recording(path))
    if recordings:
        say(f"latency: process {number + 1} of {number + 1}, this one")
    return recordings


def _first_failure(index: int, output: str) -> str:
    lines = [line for line in output.splitlines() if line.startswith(("FAILED", "ERROR"))]
    return f"latency: process {index} failed: {(lines or output.splitlines()[-1:] or ['?'])[0]}"

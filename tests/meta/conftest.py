"""The suite under test: real runs of pytest, in processes and copies of their own."""

import atexit
import compileall
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import pytest

from tests.harness.sources.bundle import bundle as build_bundle
from tests.harness.sources.fetch import KEPT
from tests.harness.sources.folders import select_models
from tests.meta.support.warm_runs import run_warm

PROJECT = Path(__file__).resolve().parents[2]
PARTS = ("conftest.py", "pytest.ini", "fixtures", "tests")


@dataclass(frozen=True)
class Run:
    """A finished process."""

    code: int
    out: str

    def line(self, text: str) -> str:
        """The first line that contains the text; fails with the whole output if none does."""
        lines = [line for line in self.out.splitlines() if text in line]
        assert lines, f"no line with {text!r} in:\n{self.out[-3000:]}"
        return lines[0]


def run_pytest(*arguments: str, cwd: Path = PROJECT, **environment: str) -> Run:
    """Run the real suite; `environment` is added to ours, but for what this run set for itself.

    The process is a fork of one that has imported the libraries, unless it measures time.
    """
    arguments = ("-p", "no:cacheprovider", *arguments)
    others = any(argument.startswith(("--latency", "tests/benchmarks")) for argument in arguments)
    if not others and (done := run_warm(list(arguments), cwd, _environment(environment))):
        return Run(*done)
    return run_anew("pytest", *arguments, cwd=cwd, **environment)


def run_anew(module: str, *arguments: str, cwd: Path = PROJECT, **environment: str) -> Run:
    """Run a module's command in a process of its own, in an environment as `run_pytest` has it."""
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=cwd,
        env=_environment(environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return Run(done.returncode, done.stdout)


def _environment(added: dict[str, str]) -> dict[str, str]:
    """Our environment without what this run set for itself, and with `added`."""
    overruled = [name.removeprefix(KEPT) for name in os.environ if name.startswith(f"{KEPT}HF_")]
    ours = ("CI", "PYTEST_", "GITHUB_", f"{KEPT}HF_", *overruled)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return inherited | {"PYTHONDONTWRITEBYTECODE": "1", "COLUMNS": "400"} | added


@cache
def compiled_project() -> Path:
    """A copy with bytecode, which its own copies keep: a sixth of a small run is compiling."""
    copy = Path(mkdtemp())
    atexit.register(shutil.rmtree, copy, ignore_errors=True)
    for part in PARTS:
        source = PROJECT / part
        if source.is_dir():
            shutil.copytree(source, copy / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, copy / part)
    compileall.compile_dir(copy / "tests" / "harness", quiet=2)
    return copy


def copy_project(copy: Path) -> Path:
    """Copy what a run needs."""
    return Path(shutil.copytree(compiled_project(), copy, dirs_exist_ok=True))


@pytest.fixture(scope="session")
def bundle() -> dict[str, Path]:
    """The folder of every model's files by key, built if need be."""
    return build_bundle(select_models((), "bundle"), print)


@pytest.fixture
def project(tmp_path: Path, bundle: dict[str, Path]) -> Path:
    """A copy of the project to do harm to; the bundle is warm."""
    return copy_project(tmp_path / "project")


@pytest.fixture
def model_copy(tmp_path: Path, bundle: dict[str, Path]) -> Callable[[str], Path]:
    """A copy of a model's folder to plant faults in."""

    def copy(key: str) -> Path:
        return Path(shutil.copytree(bundle[key], tmp_path / key))

    return copy


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 20 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=20m", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small file system needs root")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)

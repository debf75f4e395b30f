"""Plants a fault for real and runs the real suite on it, in a process that is given up after."""

import shutil
from importlib import import_module
from pathlib import Path

import pytest

from tests.meta.conftest import copy_project, run_pytest
from tests.meta.support.small_project import shrink

from .catalogue import APART, MACHINERY, QUANTIZED, SERVING, Fault
from .contracts import contract_of, contracts
from .editing import make
from .judging import Recorder, judge
from .patches.places import PlaceMovedError, ineffective, package_of
from .patches.quantization import shrink_model

# These wait for another process, in which nothing is planted.
NEW_PROCESS = (
    "tests/quantized/test_generation.py::test_greedy_answers_repeat_in_a_new_process",
    "tests/quantized/test_quantization.py::test_saved_and_reloaded_bit_for_bit",
)

# Without what only costs time where nobody reads the output.
PLUGINS = (
    "cacheprovider",
    "logging",
    "anyio",
    "terminal",
    "faulthandler",
    "xdist",
    "xdist.looponfail",
    "benchmark",
)

QUICK = (
    "-o",
    "addopts=",
    "--assert=plain",
    "-s",
    *(word for name in PLUGINS for word in ("-p", f"no:{name}")),
)


def run_apart(fault: Fault, folder: Path) -> list[str]:
    """Run a copy of the project with the planted fault, as a process of its own."""
    project = copy_project(folder / "project")
    if fault.area == MACHINERY:
        shrink(project)
    for edit in fault.edits:
        make(edit, project)
    options = ("-q", "--models", fault.model, *fault.options)
    run = run_pytest(*options, cwd=project, CUDA_VISIBLE_DEVICES="")
    wrong = [] if run.code == fault.code else [f"exit code {run.code}, expected {fault.code}"]
    if not any(line.startswith(fault.says) for line in run.out.splitlines()):
        wrong += [f"no line begins with {fault.says!r}", *run.out.splitlines()[-12:]]
    return wrong


def patch(fault: Fault) -> list[str]:
    """Change the running libraries; a line if they have moved what was to be changed."""
    if not fault.patch:
        return []
    module, _, name = fault.patch.rpartition(".")
    try:
        getattr(import_module(f"tests.meta.faults.patches.{module}"), name)(**fault.given)
    except PlaceMovedError as error:
        return [str(error)]
    except ImportError as error:
        return [f"{package_of(error.name or '')}: {error}: the patch must follow"]
    return []


def run_suite(fault: Fault, folder: Path, source: Path, quick: bool = False) -> list[str]:
    """Run the real suite on the planted fault in this process; what is wrong with the kill.

    `quick` runs only the test that must be red: that no other area is red is then left to a whole
    run.
    """
    if fault.area in APART:
        return run_apart(fault, folder)
    options = [*QUICK, "--models", ",".join((fault.model, *fault.beside)), *fault.options]
    if fault.edits:
        copy = folder / fault.model
        shutil.copytree(source, copy)
        for edit in fault.edits:
            make(edit, copy)
        options += ["--model-dir", f"{fault.model}={copy}"]
    file = contracts()[contract_of(fault)]
    if fault.area in QUANTIZED:
        options += ["-m", "not gpu"]
        if not fault.trained:
            shrink_model()
            options += ["--weights", f"{fault.model}=dummy"]
        others = [test for test in NEW_PROCESS if not test.endswith(f"::{fault.red}")]
        options += [word for test in others for word in ("--deselect", test)]
    if moved := patch(fault):
        return moved
    # Of an engine all files are one area, so that no other one can be red by mistake.
    alone = quick or fault.area == SERVING
    recorder = Recorder(fault if quick else None)
    tests = f"{file}::{fault.red}" if alone else str(file.parent)
    code = pytest.main([tests, *options], plugins=[recorder])
    ran = file.stem.removeprefix("test_") if alone and fault.area != SERVING else None
    return ineffective() + judge(fault, int(code), recorder.red(), ran)

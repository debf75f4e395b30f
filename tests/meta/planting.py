"""Plants a fault for real and runs the real suite on it, in a process that is given up after."""

import json
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.harness.errors import Broken
from tests.harness.reporting import place_of

from . import library_faults, quantised_faults
from .catalogue import HASHES, MACHINERY, QUANTISED, SNAPSHOTS, Edit, Fault
from .conftest import copy_project, run_pytest
from .test_snapshot_safety import shrink

# Half of this test is another process, in which nothing is planted.
NEW_PROCESS = "tests/quantized/test_generation.py::test_greedy_answers_repeat_in_a_new_process"
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


@dataclass(frozen=True)
class Verdict:
    """What became of a planted fault: killed if nothing is wrong."""

    id: str
    wrong: tuple[str, ...]  # a line for each thing that is not as the catalogue says
    seconds: float = 0.0


@dataclass(frozen=True)
class Red:
    """A test that failed: its name without parameters, its area, its first line."""

    test: str
    area: str
    line: str
    judged: bool  # by a contract's or snapshot's own judgement


@dataclass
class Recorder:
    """A pytest plugin that keeps what is red."""

    lines: dict[str, str] = field(default_factory=dict)
    judged: set[str] = field(default_factory=set)

    def pytest_configure(self, config: pytest.Config) -> None:
        """Let tracebacks be short: pytest's own show every argument, vocabularies and all."""
        config.option.tbstyle = "native"

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep the first line of a failed test, setup or teardown."""
        if report.failed:
            self.lines[report.nodeid] = (report.longreprtext.splitlines() or [""])[0]

    def pytest_exception_interact(self, node: pytest.Item, call: pytest.CallInfo[Any]) -> None:
        """Remember what failed by a judgement, and not for any other reason."""
        if call.excinfo and isinstance(call.excinfo.value, Broken):
            self.judged.add(node.nodeid)

    def red(self) -> list[Red]:
        """All that failed."""
        return [
            Red(
                node.partition("::")[2].partition("[")[0],
                (place_of(node) or ("", "(none)"))[1],
                line,
                node in self.judged,
            )
            for node, line in self.lines.items()
        ]


def changed(content: Any, edit: Edit) -> Any:
    """The content (JSON, or a text if there is no path) with the edit made; in place if JSON."""
    if not edit.path:
        return replaced(content, edit.value)
    *front, last = edit.path
    place = content
    for step in front:
        place = place[step]
    match edit.op:
        case "delete":
            del place[last]
        case "insert":
            place.insert(last, edit.value)
        case "swap":
            left, right = edit.value
            place[last][left], place[last][right] = place[last][right], place[last][left]
        case "replace":
            place[last] = replaced(place[last], edit.value)
        case _:
            place[last] = edit.value
    return content


def replaced(text: str, pair: tuple[str, str]) -> str:
    """The text with one piece in place of another; ValueError if it does not stand there."""
    if pair[0] not in text:
        raise ValueError(f"{pair[0]!r} does not stand there")
    return text.replace(*pair)


def make(edit: Edit, folder: Path) -> None:
    """Make one edit in a folder; a file may be a link, so it is written anew."""
    path = folder / edit.file
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    if edit.op in ("write", "append"):
        new = (text if edit.op == "append" else "") + edit.value
    elif edit.path:
        content = json.loads(text)
        before = json.dumps(content, ensure_ascii=False)
        new = json.dumps(changed(content, edit), ensure_ascii=False)
        text = before  # layout alone is no change
    elif edit.op == "replace":
        new = changed(text, edit)
    path.unlink(missing_ok=True)
    if edit.op == "remove":
        return
    if new == text:
        raise ValueError(f"{edit} changes nothing")
    path.write_text(new, encoding="utf-8")


def judge(fault: Fault, code: int, red: list[Red]) -> list[str]:
    """What is not as the catalogue says; empty if the suite killed the fault."""
    wrong = [] if code == fault.code else [f"exit code {code}, expected {fault.code}"]
    named = [it for it in red if it.test == fault.red]
    if not any(
        it.judged and it.line.startswith(fault.model) and fault.says in it.line for it in named
    ):
        said = sorted({it.line for it in named})[:3]
        wrong.append(f"{fault.red} stays green" if not said else f"{fault.red} said {said}")
    areas = {it.area for it in red}
    if areas != set(fault.areas):
        wrong.append(f"red in {sorted(areas)}, expected {sorted(fault.areas)}")
    if wrong:
        others = sorted(
            {f"{it.test}: {it.line}" for it in red if it.area != SNAPSHOTS and it.test != HASHES}
        )
        wrong += [f"  {line:.300}" for line in others[:12]]
        wrong.append(f"  {len(red)} tests are red, {len(others)} lines of contracts")
    return wrong


def run_machinery(fault: Fault, folder: Path) -> list[str]:
    """Run a small copy of the project with the planted fault, as a process of its own."""
    project = shrink(copy_project(folder / "project"))
    for edit in fault.edits:
        make(edit, project)
    run = run_pytest("-q", *fault.options, cwd=project, CUDA_VISIBLE_DEVICES="")
    wrong = [] if run.code == fault.code else [f"exit code {run.code}, expected {fault.code}"]
    if not any(line.startswith(fault.says) for line in run.out.splitlines()):
        wrong += [f"no line begins with {fault.says!r}", *run.out.splitlines()[-12:]]
    return wrong


def run_suite(fault: Fault, folder: Path, source: Path) -> list[str]:
    """Run the real suite on the planted fault in this process; what is wrong with the kill."""
    if fault.area == MACHINERY:
        return run_machinery(fault, folder)
    options = [*QUICK, "--models", ",".join((fault.model, *fault.beside)), *fault.options]
    if fault.edits:
        copy = folder / fault.model
        shutil.copytree(source, copy, copy_function=os.symlink)
        for edit in fault.edits:
            make(edit, copy)
        options += ["--model-dir", f"{fault.model}={copy}"]
    module: Any = library_faults
    tests = "tests/conformance"
    if fault.area in QUANTISED:
        module, tests = quantised_faults, "tests/quantized"
        options += ["-m", "not gpu"]
        if not fault.trained:
            quantised_faults.shrink_model()
            options += ["--weights", f"{fault.model}=dummy"]
        if not NEW_PROCESS.endswith(f"::{fault.red}"):
            options += ["--deselect", NEW_PROCESS]
    if fault.patch:
        getattr(module, fault.patch)(**fault.given)
    recorder = Recorder()
    code = pytest.main([tests, *options], plugins=[recorder])
    return judge(fault, int(code), recorder.red())

"""What was red in a run on a planted fault, and whether that is what the catalogue demands."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.harness.errors import ContractBroken

from .catalogue import HASHES, SNAPSHOTS, Fault


@dataclass(frozen=True)
class Verdict:
    """What became of a planted fault: killed if nothing is wrong."""

    id: str
    wrong: tuple[str, ...]  # a line for each thing that is not as the catalogue says
    seconds: float  # of processor time


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

    until: Fault | None = None  # stop once this fault is named; None: run all
    lines: dict[str, str] = field(default_factory=dict)
    areas: dict[str, str] = field(default_factory=dict)
    judged: set[str] = field(default_factory=set)

    def pytest_configure(self, config: pytest.Config) -> None:
        """Let tracebacks be short: pytest's own show every argument, vocabularies and all."""
        config.option.tbstyle = "native"

    def pytest_runtest_makereport(self, item: pytest.Item) -> None:
        """End the run where more of it would say nothing new."""
        if self.until and is_named(self.until, self.red()):
            item.session.shouldfail = "the fault is named"

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep the first line of a failed test, setup or teardown."""
        if report.failed:
            check = getattr(report, "check", None)
            self.areas[report.nodeid] = check["area"] if check else "(none)"
            self.lines[report.nodeid] = (report.longreprtext.splitlines() or [""])[0]

    def pytest_exception_interact(self, node: pytest.Item, call: pytest.CallInfo[Any]) -> None:
        """Remember what failed by a judgement, and not for any other reason."""
        if call.excinfo and isinstance(call.excinfo.value, ContractBroken):
            self.judged.add(node.nodeid)

    def red(self) -> list[Red]:
        """All that failed."""
        return [
            Red(
                node.partition("::")[2].partition("[")[0],
                self.areas[node],
                line,
                node in self.judged,
            )
            for node, line in self.lines.items()
        ]


def is_named(fault: Fault, red: list[Red]) -> bool:
    """Whether the contract that must be red is, by its judgement, and says what it should."""
    return any(
        one.test == fault.red
        and one.judged
        and one.line.startswith(fault.model)
        and fault.says in one.line
        for one in red
    )


def judge(fault: Fault, code: int, red: list[Red], ran: str | None = None) -> list[str]:
    """What is not as the catalogue says; empty if the suite killed the fault.

    `ran` is the area that alone was run; the others are not judged.
    """
    wrong = [] if code == fault.code else [f"exit code {code}, expected {fault.code}"]
    if not is_named(fault, red):
        lines = sorted({one.line for one in red if one.test == fault.red})[:3]
        wrong.append(f"{fault.red} failed with {lines}" if lines else f"{fault.red} stays green")
    areas = {one.area for one in red}
    expected = {area for area in fault.areas if ran in (None, area)}
    if areas != expected:
        wrong.append(f"red in {sorted(areas)}, expected {sorted(expected)}")
    if wrong:
        others = sorted(
            {
                f"{one.test}: {one.line}"
                for one in red
                if one.area != SNAPSHOTS and one.test != HASHES
            }
        )
        wrong += [f"  {line:.300}" for line in others[:12]]
        wrong.append(f"  {len(red)} tests are red, {len(others)} lines of contracts")
    return wrong

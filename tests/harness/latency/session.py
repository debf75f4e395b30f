"""The latency of a run: its options, its baseline, what is printed and written at its end."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from statistics import median
from typing import Any, Literal

import pytest

from ..data.registry import Device
from ..errors import DataError
from ..files import TESTS, why_unwritable
from ..model.device import has_cuda
from ..plugins.results import RESULTS, Results
from ..plugins.selection import distributed
from ..versions import versions
from .history import Point, add_to_history, history_file, past_of, read_history
from .machine import identity
from .recording import (
    FORMAT,
    Machine,
    Processes,
    Recording,
    Timed,
    machine_differences,
    merge,
    read_recording,
    write_recording,
)
from .spec import Rule, read_spec, selected
from .statistics import Word, format_seconds, lower_quartile

BENCHMARKS = TESTS / "benchmarks"


@dataclass(frozen=True)
class Comparison:
    """A benchmark against its baseline; `details` are the change, its interval and any excuse."""

    word: Word | Literal["refused"]
    details: str = ""

    def __str__(self) -> str:
        """`FAIL (+21 %, interval +17..+25)`."""
        return f"{self.word} {self.details}".rstrip()


@dataclass(frozen=True)
class LatencyFigures:
    """A benchmark in a few words, for the reports; times in seconds, as `Timed.typical`."""

    seconds: float
    processes: int
    rounds: int  # of all processes
    baseline: float | None  # None: compared with nothing
    verdict: str  # a Comparison as text; empty if not compared
    roofline: float | None  # the share of what the machine could do, 0 to 1
    peak: int | None  # bytes on the device; the CPU does not count them


@dataclass
class LatencyRun:
    """The benchmarks of this process, those of the processes before it, and the baseline."""

    rule: Rule
    gate: bool
    processes: int
    save: Path | None = None
    baseline_file: Path | None = None
    baseline: Recording | None = None
    machine: Machine = field(default_factory=dict)
    controls: dict[str, Processes] = field(default_factory=dict)
    earlier: list[Recording] = field(default_factory=list)
    own: dict[str, Timed] = field(default_factory=dict)
    memory: dict[str, int] = field(default_factory=dict)  # bytes, at most on CUDA, else in the end
    shares: dict[str, float] = field(default_factory=dict)  # of the roofline
    comparisons: dict[str, Comparison] = field(default_factory=dict)
    left_out: int = 0  # benchmarks that are not the task's

    def recording(self) -> Recording:
        """All processes of this run."""
        own = Recording(FORMAT, self.machine, versions(), self.controls, self.own)
        return merge([own, *self.earlier])

    def history(self) -> dict[str, list[Point]]:
        """Of each benchmark what this machine measured, the oldest first, this run the last.

        Empty if nothing is saved or compared; DataError if the file is damaged.
        """
        if not self.own or (file := self.save or self.baseline_file) is None:
            return {}
        past = read_history(history_file(file))
        if not self.save:  # else it is in the file already
            past.append(past_of(self.recording(), self.rule.confidence))
        here = [one for one in past if one.machine == self.machine]
        return {
            name: [one.medians[name] for one in here if name in one.medians] for name in self.own
        }

    def figures(self, name: str, peak: int) -> LatencyFigures:
        """The figures of a benchmark that was timed; `peak` is 0 on the CPU."""
        timed = self.recording().benchmarks[name]
        there = self.baseline.benchmarks.get(name) if self.baseline else None
        return LatencyFigures(
            seconds=timed.typical(),
            processes=len(timed.seconds),
            rounds=sum(map(len, timed.seconds)),
            baseline=there.typical() if there else None,
            verdict=str(self.comparisons.get(name, "")),
            roofline=self.shares.get(name),
            peak=peak or None,
        )


LATENCY_RUN = pytest.StashKey[LatencyRun]()


def pytest_configure(config: pytest.Config) -> None:
    """Read the baseline before anything runs; one line refuses what cannot be compared.

    pytest-benchmark's own table, of 250 columns, is printed under -v alone.
    """
    if config.get_verbosity() < 1:
        config.option.benchmark_quiet = True
    try:
        config.stash[LATENCY_RUN] = _configured(config)
    except DataError as error:
        raise pytest.UsageError(str(error)) from None


def _configured(config: pytest.Config) -> LatencyRun:
    save, compare = config.getoption("latency_save"), config.getoption("latency_baseline")
    processes = config.getoption("latency_processes")
    for option, value in {"--latency-save": save, "--latency-baseline": compare}.items():
        if value == "":
            raise DataError(f"{option}: give a file")
    if save and compare:
        raise DataError("--latency-save and --latency-baseline: record in a run of its own")
    if (save or compare) and distributed(config):
        raise DataError("--latency-...: run without -n: workers slow each other down")
    if processes is not None and processes < 1:
        raise DataError(f"--latency-processes {processes}: at least 1")
    rule = read_spec().rule
    run = LatencyRun(
        rule, config.getoption("gate"), processes or (rule.processes if save or compare else 1)
    )
    if save:
        run.save = Path(save).absolute()
        if problem := why_unwritable(run.save):
            raise DataError(f"--latency-save {problem}")
    if compare:
        run.baseline_file = Path(compare)
        run.baseline = read_recording(run.baseline_file)
        here = {"cpu": identity("cpu")} | ({"cuda": identity("cuda")} if has_cuda() else {})
        if lines := machine_differences(run.baseline, here):
            raise DataError(
                f"--latency-baseline {compare}: recorded on another machine: {'; '.join(lines)}; "
                "record one here with --latency-save"
            )
    if file := run.save or run.baseline_file:
        read_history(history_file(file))  # a damaged one is told now, not after minutes of work
    return run


@pytest.hookimpl(trylast=True)  # after -k and -m
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Benchmarks run alone, beside other tests they are left out; by default those of the task."""
    timed = [item for item in items if item.path.is_relative_to(BENCHMARKS)]
    if timed and len(timed) < len(items):
        _leave_out(config, items, timed)
        config.stash[RESULTS].missing_evidence.append(
            "latency: left out, because benchmarks run alone: pytest tests/benchmarks"
        )
        return
    by_id = any("::" in argument for argument in config.args)
    if timed and not by_id and not config.getoption("latency_all"):
        names = {item.name: item.nodeid for item in timed}
        device: Device = "cuda" if any(item.get_closest_marker("gpu") for item in timed) else "cpu"
        kept = selected(list(names.values()), device, everyday=True)
        others = [item for item in timed if item.name not in kept]
        _leave_out(config, items, others)
        config.stash[LATENCY_RUN].left_out = len(others)


def _leave_out(
    config: pytest.Config, items: list[pytest.Item], others: Sequence[pytest.Item]
) -> None:
    if others:
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if item not in set(others)]


def save_latency(session: pytest.Session, results: Results) -> list[str]:
    """Write the recording if every benchmark passed; problems, which fail the run, a line each.

    What was compared with nothing is added to the results' missing evidence.
    """
    run = session.config.stash[LATENCY_RUN]
    results.missing_evidence += _missing_evidence(run)
    if run.save is None or session.config.option.collectonly:
        return []
    if session.exitstatus or not run.own:
        return [f"latency: {run.save}: not written: not every benchmark passed"]
    try:
        now = past_of(run.recording(), run.rule.confidence)
        read_history(history_file(run.save))  # a damaged one is left alone, and nothing is written
        write_recording(run.save, run.recording())
        add_to_history(history_file(run.save), now)
    except DataError as error:
        return [f"latency: {error}"]
    return []


def _missing_evidence(run: LatencyRun) -> list[str]:
    if run.baseline is None:
        alone = bool(run.own) and run.save is None
        return ["latency was compared with nothing: give --latency-baseline"] if alone else []
    there, file = run.baseline.benchmarks, run.baseline_file
    lost = [
        f"latency: {name} is in {file} and did not run" for name in there if name not in run.own
    ]
    new = [f"latency: {name} ran and is not in {file}" for name in run.own if name not in there]
    return lost + new


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """A line a benchmark; under -q none for a benchmark that passed or was not compared."""
    run, verbosity = config.stash[LATENCY_RUN], config.get_verbosity()
    write = terminalreporter.write_line
    if lines := summary(run, quiet=verbosity < 0) if verbosity >= -1 else []:
        of = f" of {run.processes} processes" if run.processes > 1 else ""
        terminalreporter.section(
            f"latency{of}: median round, half the distance of the quartiles, tokens, memory"
        )
        for line in lines:
            write(line)
    if run.left_out and verbosity >= -1:
        left = f"{run.left_out} benchmark{'s' * (run.left_out > 1)}"
        write(f"latency: {left} beside those of the task left out; every one: --latency-all")


def summary(run: LatencyRun, quiet: bool) -> list[str]:
    """A line a benchmark; if quiet, of those alone that were compared and did not pass.

    `test_predict[smollm2-cpu-nf4]  61.2 ms  +-3 %  65 tokens/s  1.2 GB  30% of the roofline`, and
    the verdict. Tokens are new ones, of a prompt that is encoded its own.
    """
    lines = []
    for name, timed in run.recording().benchmarks.items():
        comparison = run.comparisons.get(name)
        if quiet and (comparison is None or comparison.word == "PASS"):
            continue
        rounds = list(chain.from_iterable(timed.seconds))
        middle = median(rounds)
        upper = -lower_quartile([-each for each in rounds])
        spread = (upper - lower_quartile(rounds)) / 2 / middle
        keys = timed.keys
        new = int(keys.get("new_tokens", 0)) * int(keys.get("batch", 1))
        tokens = new or int(keys.get("tokens", 0))
        cells = [
            f"{name:<44} {format_seconds(middle):>9}  +-{100 * spread:.0f} %",
            _tokens_a_second(tokens / middle) if tokens else "",
            f"{run.memory[name] / 1e9:.1f} GB" if run.memory.get(name) else "",
            f"{run.shares[name]:4.0%} of the roofline" if name in run.shares else "",
            str(comparison or ""),
        ]
        lines.append("  ".join(filter(None, cells)))
    return lines


def _tokens_a_second(number: float) -> str:
    return f"{number:.3g} tokens/s" if number < 100 else f"{number:,.0f} tokens/s"


def refuse_to_lose(path: Path, measured: Iterable[str]) -> None:
    """DataError if the file holds benchmarks that this run would drop from it."""
    if path.exists() and (lost := set(read_recording(path).benchmarks) - set(measured)):
        raise DataError(
            f"{path}: not written: it holds {sorted(lost)[0]} and {len(lost) - 1} more that did "
            "not run here; run them too, or save to another file"
        )

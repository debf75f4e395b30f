"""Judges a measured latency: that it is possible, comparable with the baseline, and no slower."""

from collections.abc import Callable
from statistics import median

from ..data.registry import Device
from ..errors import fail
from ..model.loading import LoadedModel
from ..versions import version_changes
from .machine import clock_and_device_seconds, rates
from .recording import Keys, Recording, Timed, differences
from .roofline import least_seconds
from .session import Comparison, LatencyRun
from .spec import Benchmark
from .statistics import Verdict, format_seconds, judge, lower_quartile


def title(key: str, spec: Benchmark, keys: Keys) -> str:
    """How a failure begins: `prediction latency llama3_1 nf4 one token`."""
    kind, load = ("prediction", f" {keys['load']}") if spec.loads else ("tokenizer", "")
    return f"{kind} latency {key}{load} {spec.title.format(**keys)}"


def check_clock(what: str, clock: Callable[[], float]) -> None:
    """Fail unless the clock waits for CUDA: it sees what the device's own events see, or more."""
    seen, worked = clock_and_device_seconds(clock)
    if seen < worked:
        fail(
            what,
            f"the clock saw {format_seconds(seen)} of {format_seconds(worked)} that the "
            "device worked",
            cause="it is read before the device is done (no synchronization)",
        )


def check_tokens(what: str, tokens: list[int], expected: int) -> None:
    """Fail if a call made more or fewer new tokens: that would be another benchmark."""
    if len(tokens) != expected:
        cause = "a default of generate ended it early or let it go on"
        fail(what, f"{len(tokens)} new tokens, expected {expected}", cause=cause)


def check_possible(run: LatencyRun, what: str, loaded_model: LoadedModel, own: Timed) -> float:
    """The share of the roofline, 0 to 1; on CUDA, fail above 1.

    Not judged on the CPU, where a matrix product varies as much as the forward.
    """
    prompts, tokens, new = (
        int(own.keys[name]) for name in ("batch", "prompt_tokens", "new_tokens")
    )
    fastest = rates(loaded_model.device, {name: times[0] for name, times in run.controls.items()})
    least = least_seconds(loaded_model.spec, loaded_model.load, prompts, tokens, new, fastest)
    (seconds,) = own.quartiles()
    if loaded_model.device == "cuda" and seconds < least:
        fail(
            what,
            f"got {format_seconds(seconds)}, and this device needs at least "
            f"{format_seconds(least)}",
            cause="the call does less than it should, or ends before the device is done",
        )
    return least / seconds


def check_baseline(run: LatencyRun, name: str, what: str, device: Device) -> None:
    """Compare with the baseline; FAIL fails the test, INCONCLUSIVE only under the gate."""
    if run.baseline is None or name not in run.baseline.benchmarks:
        return
    there, here = run.baseline.benchmarks[name], run.recording().benchmarks[name]
    if lines := differences(there.keys, here.keys):
        run.comparisons[name] = Comparison("refused")
        fail(
            what,
            f"not comparable with {run.baseline_file}: {'; '.join(lines)}",
            rerun_options="--latency-save FILE",
        )
    verdict = judge(there.figures(), here.figures(), run.rule)
    excuse = excuse_by_machine(run, run.baseline, device, verdict)
    word = "INCONCLUSIVE" if excuse else verdict.word
    run.comparisons[name] = Comparison(word, f"({verdict}){excuse}")
    if word == "FAIL" or (word == "INCONCLUSIVE" and run.gate):
        unsure = "" if word == "FAIL" else f"; INCONCLUSIVE{excuse}"
        fail(
            what,
            f"{format_seconds(there.typical())} -> {format_seconds(here.typical())} "
            f"({verdict}{pace_change(there, here)}), "
            f"{run.machine[device]['device']}{unsure}",
            f"lower quartiles of the processes' rounds, baseline: {_all_quartiles(there)}",
            f"lower quartiles of the processes' rounds, now:      {_all_quartiles(here)}",
            cause=version_changes(run.baseline.versions)
            or "no library's version changed: code, settings or the machine",
            rerun_options=f"--latency-baseline {run.baseline_file}",
        )


def pace_change(there: Timed, here: Timed) -> str:
    """How much slower fixed work was beside the rounds: the change leaves that out."""
    if not (there.pace and here.pace):
        return ""
    old, new = (median(map(median, timed.pace)) for timed in (there, here))
    return f", the machine's own pace {100 * (new / old - 1):+.0f} % left out"


def excuse_by_machine(run: LatencyRun, there: Recording, device: Device, verdict: Verdict) -> str:
    """Why a CUDA machine makes a verdict worthless; empty if it does not.

    On a machine that itself became slower a slower library is not proven, and a machine that
    became faster can hide one. Its speed is that of fixed work, judged by the same rule. (On the
    CPU every round has its pace.)
    """
    for name, now in run.recording().controls.items() if device == "cuda" else ():
        if name not in there.controls or not name.startswith(("cuda", "cpu: interpreter")):
            continue
        old, new = (list(map(lower_quartile, times)) for times in (there.controls[name], now))
        slower, faster = judge(old, new, run.rule), judge(new, old, run.rule)
        if verdict.word == "FAIL" and slower.word == "FAIL":
            return f"; the machine itself is slower: {name} {slower}"
        if verdict.word == "PASS" and faster.word == "FAIL":
            return f"; the machine itself is faster: {name} {slower}"
    return ""


def _all_quartiles(timed: Timed) -> str:
    return ", ".join(map(format_seconds, sorted(timed.quartiles())))

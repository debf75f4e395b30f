"""Judges a measured latency: that it is possible, comparable with the baseline, and no slower."""

from collections.abc import Callable
from statistics import median

from ..diagnosis import fail, rerun
from ..live import Live
from ..models import Device
from ..options import versions
from .machine import rates, waits
from .recording import Keys, Recording, Timed, differing
from .roofline import least_seconds
from .session import LatencyRun
from .spec import Benchmark
from .statistics import Verdict, judge, quartile
from .terminal import figure, figures, shown


def title(node: str, spec: Benchmark, keys: Keys) -> str:
    """`prediction latency llama3_1 nf4 one token`."""
    key, _, _ = node.partition("[")[2].rstrip("]").partition("-")
    kind, load = ("prediction", f" {keys['load']}") if spec.loads else ("tokenizer", "")
    return f"{kind} latency {key}{load} {spec.title.format(**keys)}"


def check_clock(what: str, clock: Callable[[], float]) -> None:
    """The clock waits for a CUDA device: it sees at least what the device's own events see."""
    seen, worked = waits(clock)
    if seen < worked:
        fail(
            f"{what}: the clock saw {shown(seen)} of {shown(worked)} that the device "
            "worked; likely cause: it is read before the device is done (no synchronisation)"
        )


def check_possible(run: LatencyRun, what: str, live: Live, own: Timed) -> float:
    """The share of the roofline, 0 to 1; more cannot be on CUDA.

    Not judged on the CPU, where a matrix product varies as much as the forward.
    """
    prompts, tokens, new = (int(own.keys[it]) for it in ("batch", "prompt_tokens", "new_tokens"))
    times = {name: list(processes[0]) for name, processes in run.controls.items()}
    fastest = rates(live.device, times)
    least = least_seconds(live.facts, live.load, prompts, tokens, new, fastest)
    seconds = quartile(own.seconds[0])
    if live.device == "cuda" and seconds < least:
        fail(
            f"{what}: got {shown(seconds)}, and this device needs at least {shown(least)}; likely "
            "cause: the call does less than it should, or ends before the device is done"
        )
    return least / seconds


def check_tokens(what: str, got: list[int], expected: int) -> None:
    """A call of other length is another benchmark."""
    if len(got) != expected:
        fail(
            f"{what}: {len(got)} new tokens, expected {expected}; likely cause: a default of "
            "generate ended it early or let it go on"
        )


def compare(run: LatencyRun, name: str, what: str, device: Device) -> None:
    """Judge by the baseline; FAIL fails the test, INCONCLUSIVE only under the gate."""
    if run.baseline is None or name not in run.baseline.benchmarks:
        return
    there, here = run.baseline.benchmarks[name], run.recording().benchmarks[name]
    if lines := differing(there.keys, here.keys):
        run.verdicts[name] = "refused"
        fail(
            f"{what}: not comparable with {run.baseline_file}: {'; '.join(lines)}",
            next_step=f"{rerun()} --latency-save FILE",
        )
    verdict = judge(there.figures(), here.figures(), run.rule)
    moved = machine_moved(run, run.baseline, device, verdict)
    word = "INCONCLUSIVE" if moved else verdict.word
    run.verdicts[name] = f"{word} ({verdict}){moved}"
    if word == "FAIL" or (word == "INCONCLUSIVE" and run.gate):
        unsure = "" if word == "FAIL" else f"; INCONCLUSIVE{moved}"
        fail(
            f"{what}: {figure(there)} -> {figure(here)} ({verdict}{paces(there, here)}), "
            f"{run.machine[device]['device']}{unsure}; "
            f"likely cause: {moved_versions(run.baseline.versions)}",
            f"lower quartiles of the processes' rounds, baseline: {figures(there)}",
            f"lower quartiles of the processes' rounds, now:      {figures(here)}",
            next_step=f"{rerun()} --latency-baseline {run.baseline_file}",
        )


def paces(there: Timed, here: Timed) -> str:
    """How much slower fixed work was beside the rounds: the change leaves that out."""
    if not (there.pace and here.pace):
        return ""
    old, new = (median(map(median, it.pace)) for it in (there, here))
    return f", the machine's own pace {100 * (new / old - 1):+.0f} % left out"


def machine_moved(run: LatencyRun, there: Recording, device: Device, verdict: Verdict) -> str:
    """Why a CUDA machine makes a verdict worthless; empty if it does not.

    A regression on a machine that itself became slower is none yet, and one may hide behind a
    machine that became faster. Its speed is that of fixed work, judged by the same rule. (On the
    CPU every round has its pace.)
    """
    for name, now in run.recording().controls.items() if device == "cuda" else ():
        if name not in there.controls or not name.startswith(("cuda", "cpu: interpreter")):
            continue
        old, new = (list(map(quartile, it)) for it in (there.controls[name], now))
        slower, faster = judge(old, new, run.rule), judge(new, old, run.rule)
        if verdict.word == "FAIL" and slower.word == "FAIL":
            return f"; the machine itself is slower: {name} {slower}"
        if verdict.word == "PASS" and faster.word == "FAIL":
            return f"; the machine itself is faster: {name} {slower}"
    return ""


def moved_versions(there: dict[str, str]) -> str:
    """What differs between the baseline's libraries and these."""
    now = versions()
    moved = [
        f"{it} {old} -> {now.get(it, 'absent')}" for it, old in there.items() if now.get(it) != old
    ]
    return ", ".join(moved) or "no library's version moved: code, settings or the machine"

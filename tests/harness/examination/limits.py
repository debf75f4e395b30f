"""Work under limits: in a child process that may die of it, or here, where it raises."""

import faulthandler
import fcntl
import gc
import json
import os
import resource
import selectors
import signal
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

Report = Callable[[str], None]  # told what is about to be done
_KEPT = 4096  # bytes of what a child prints: a library says first why it gives up
_RENDER_SECONDS, _RENDER_BYTES = 5.0, 1 << 30


@dataclass(frozen=True)
class Limits:
    """What a child process may take beyond its parent: bytes, seconds of CPU and of wall clock."""

    memory: int
    cpu: int
    wall: float


@dataclass(frozen=True)
class Ending:
    """How a child ended: at which step, with which result, or how it failed."""

    step: str
    result: Any = None
    death: str = ""  # what ended it, in words; empty if it gave a result


def in_child(work: Callable[[Report], Any], limits: Limits) -> Ending:
    """Do the work in a fork of this process, which cannot write files, and take what it returns.

    The result must be JSON. Whatever the child does, this process goes on within `limits.wall`
    seconds; an interrupt passes through, and the child has ended.
    """
    tempfile.gettempdir()  # finds it by writing, which the child cannot
    reading, writing = os.pipe()
    from_child, to_parent = os.pipe()
    with warnings.catch_warnings():
        # From 3.12 on Python warns where there are threads: of theirs the child needs none.
        warnings.simplefilter("ignore")
        pid = os.fork()
    if pid == 0:
        _be_child(work, limits, to_parent, writing)
    os.close(writing)
    os.close(to_parent)
    try:
        lines, printed, late = _read_all(from_child, reading, time.monotonic() + limits.wall)
    except BaseException:
        _reap(pid)
        raise
    finally:
        os.close(from_child)
        os.close(reading)
    return _ending(lines, printed, late, _reap(pid), limits)


def _read_all(results: int, prints: int, until: float) -> tuple[bytes, bytes, bool]:
    """What the child reports, what it prints first, and whether it took too long."""
    held = {results: b"", prints: b""}
    with selectors.DefaultSelector() as selector:
        for handle in held:
            selector.register(handle, selectors.EVENT_READ)
        while selector.get_map():
            if (left := until - time.monotonic()) <= 0:
                return held[results], held[prints], True
            for key, _ in selector.select(left):
                if not (chunk := os.read(key.fd, 1 << 16)):
                    selector.unregister(key.fd)
                held[key.fd] += chunk
            held[prints] = held[prints][:_KEPT]
    return held[results], held[prints], False


def _reap(pid: int) -> int:
    """End the child if it lives; its exit code, negative for a signal."""
    with_result = 0
    for _ in range(50):  # it closes its pipes a moment before it ends
        done, with_result = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(with_result)
        time.sleep(0.002)
    os.kill(pid, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _ending(lines: bytes, printed: bytes, late: bool, code: int, limits: Limits) -> Ending:
    rows = [json.loads(line) for line in lines.splitlines(keepends=True) if line.endswith(b"\n")]
    steps = [(row["step"], row["at"]) for row in rows if "step" in row]
    step = steps[-1][0] if steps else ""
    last = rows[-1] if rows else {}
    if "result" in last:
        return Ending(step, last["result"])
    if "error" in last:
        return Ending(step, death=last["error"])
    if late:
        return Ending(step, death=f"takes more than {limits.wall:.0f} s")
    if -code in (signal.SIGXCPU, signal.SIGKILL):
        return Ending(_slowest(steps, limits.cpu), death=f"takes {limits.cpu} s of CPU time")
    text = printed.decode("utf-8", "replace")
    if "memory allocation of" in text or "capacity overflow" in text:
        return Ending(step, death=_too_much(limits))
    how = signal.Signals(-code).name if code < 0 else f"exit {code}"
    said = (text.strip().splitlines() or ["no message"])[0][:200]
    return Ending(step, death=f"ends the process ({how}: {said})")


def _slowest(steps: list[tuple[str, float]], end: float) -> str:
    """The longest step of the first part that took a third of the time of the longest part.

    Steps come with the CPU time at their start. The last step is not always at fault: what is slow
    in one part is slow again in those that contain it.
    """
    ends = [*(at for _, at in steps[1:]), end]
    took = [(step, after - at) for (step, at), after in zip(steps, ends, strict=True)]
    parts: dict[str, float] = {}
    for step, seconds in took:
        part = step.rpartition("\t")[0]
        parts[part] = parts.get(part, 0.0) + seconds
    slow = next((part for part in parts if parts[part] * 3 > max(parts.values())), "")
    within = [(seconds, step) for step, seconds in took if step.rpartition("\t")[0] == slow]
    return max(within, default=(0.0, ""))[1]


def _too_much(limits: Limits) -> str:
    return f"needs more than {limits.memory / 2**30:.1f} GiB of memory"


def _be_child(work: Callable[[Report], Any], limits: Limits, results: int, prints: int) -> NoReturn:
    """Do the work, report and end, without what Python or pytest do at an end."""
    code = 1
    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        faulthandler.disable()
        gc.disable()
        results = _close_all_but(results, prints)
        sys.stdout = sys.stderr = os.fdopen(2, "w", encoding="utf-8", errors="replace")
        _limit(resource.RLIMIT_CORE, 0)
        _limit(resource.RLIMIT_FSIZE, 0)
        _limit(resource.RLIMIT_CPU, limits.cpu, limits.cpu + 1)
        if sys.platform == "linux":
            _limit(resource.RLIMIT_AS, _address_space() + limits.memory)
        warnings.simplefilter("ignore")

        def tell(**row: Any) -> None:
            os.write(results, json.dumps(row).encode() + b"\n")

        try:
            result = work(lambda step: tell(step=step, at=time.process_time()))
        except MemoryError:
            tell(error=_too_much(limits))
        except BaseException as error:  # a PanicException of the Rust side is no Exception
            message = (str(error).strip().splitlines() or [""])[0][:200]
            tell(error=f"fails ({type(error).__name__}: {message})")
        else:
            tell(result=result)
        code = 0
    finally:
        os._exit(code)


def _close_all_but(results: int, prints: int) -> int:
    """Standard streams away from ours, and nothing else open; the number `results` has then."""
    void = os.open(os.devnull, os.O_RDWR)
    # First out of the way, lest one of them stand where another goes.
    high = [fcntl.fcntl(handle, fcntl.F_DUPFD, 64) for handle in (void, prints, results)]
    for number, handle in enumerate((high[0], high[1], high[1], high[2])):
        os.dup2(handle, number)
    os.closerange(4, os.sysconf("SC_OPEN_MAX"))
    return 3


def _limit(kind: int, soft: int, hard: int | None = None) -> None:
    """Lower a limit, never raise one that the user set."""
    ceiling = resource.getrlimit(kind)[1]
    wanted = (soft, soft if hard is None else hard)
    if ceiling != resource.RLIM_INFINITY:
        wanted = (min(wanted[0], ceiling), min(wanted[1], ceiling))
    resource.setrlimit(kind, wanted)


def _address_space() -> int:
    """Bytes of address space that this process has."""
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


class TooLongError(Exception):
    """What was done here took too much time."""


@contextmanager
def rendering_limits() -> Iterator[None]:
    """Let a template take 5 s of CPU time and 1 GiB of memory here: then TooLongError, MemoryError.

    Signals come to the main thread alone; in another the time is not limited.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    allowed = _address_space() + _RENDER_BYTES if sys.platform == "linux" else soft
    is_main = threading.current_thread() is threading.main_thread()

    def stop(*_: object) -> None:
        raise TooLongError(f"rendering took more than {_RENDER_SECONDS:.0f} s of CPU time")

    before = signal.signal(signal.SIGVTALRM, stop) if is_main else None
    try:
        if allowed != soft and (soft == resource.RLIM_INFINITY or soft > allowed):
            resource.setrlimit(resource.RLIMIT_AS, (allowed, hard))
        if is_main:
            signal.setitimer(signal.ITIMER_VIRTUAL, _RENDER_SECONDS)
        yield
    finally:
        if is_main:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
            signal.signal(signal.SIGVTALRM, before)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))

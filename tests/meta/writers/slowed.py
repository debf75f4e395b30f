"""A file system that takes its time, so that a process can be killed inside a write."""

import io
import os
import pathlib
import random
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

_PIECES = 6  # of what one call writes
_PAUSE = 0.002  # seconds before each step, in which the process is killed
_CALLS = ("fsync", "replace", "rename", "mkdir", "unlink", "rmdir")
SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT)


class _SlowFile:
    """A file that is written piece by piece; everything else is the file's own."""

    def __init__(self, file: Any, tick: Callable[[], None]) -> None:
        self._file, self._tick = file, tick

    def write(self, data: Any) -> int:
        """Write in pieces, and let each reach the disk."""
        size = max(len(data) // _PIECES, 1)
        for start in range(0, len(data), size):
            self._tick()
            self._file.write(data[start : start + size])
            self._file.flush()
        return len(data)

    def writelines(self, lines: Any) -> None:
        """Write each line."""
        for line in lines:
            self.write(line)

    def __enter__(self) -> "_SlowFile":
        self._file.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._file.__exit__(*error)

    def __iter__(self) -> Any:
        return iter(self._file)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def _slow_down(tick: Callable[[], None]) -> None:
    """Let every step of writing a file wait, for the rest of this process."""
    opened = io.open

    def slow_open(file: Any, mode: str = "r", *arguments: Any, **given: Any) -> Any:
        made = opened(file, mode, *arguments, **given)
        return _SlowFile(made, tick) if set(mode) & set("wax+") else made

    pathlib.io.open = slow_open  # type: ignore[attr-defined]
    for name in _CALLS:
        call = getattr(os, name)

        def slow(*arguments: Any, _call: Any = call, **given: Any) -> Any:
            tick()
            return _call(*arguments, **given)

        setattr(os, name, slow)
    shutil._use_fd_functions = False  # type: ignore[attr-defined]


def run_slowly(write: Callable[[], object], stop_at: int | None, number: int = 0) -> int:
    """Write in a fork; kill it at a step. The steps it took, and its exit code if not killed."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            os.close(reading)

            def tick() -> None:
                os.write(writing, b".")
                time.sleep(_PAUSE)

            _slow_down(tick)
            write()
            code = 0
        except KeyboardInterrupt:
            code = 130
        except BaseException as error:
            os.write(2, f"the writer failed: {error!r}\n".encode())
        finally:
            os._exit(code)
    os.close(writing)
    steps = 0
    with os.fdopen(reading, "rb", buffering=0) as ticks:
        while ticks.read(1):
            steps += 1
            if steps == stop_at:
                os.kill(pid, number)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert code in ((0,) if stop_at is None else (0, 130, -number)), code
    return steps


def kills(write: Callable[[], object], prepare: Callable[[], object], count: int) -> Any:
    """Kill the writer at random steps, each time on a fresh start; yields after each kill."""
    prepare()
    steps = run_slowly(write, None)
    assert steps > 1, "there was no step to kill it at"
    random_number = random.Random(13)
    for _ in range(count):
        prepare()
        run_slowly(write, random_number.randint(1, steps), random_number.choice(SIGNALS))
        yield


def listing(folder: Path) -> set[str]:
    """All files and folders within, but locks."""
    return {
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.suffix != ".lock" and path.name != ".lock"
    }

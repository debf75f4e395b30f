"""A real run of the suite on a hostile folder, watched from outside."""

import os
import resource
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.harness.files import PROJECT
from tests.harness.text import MISLEADING

from .recipes import Hostile, make

LONGEST = 20.0  # seconds
MOST = 2048  # MiB beyond a run of sound folders
# A few checks of each kind, of this model and another: the other must be checked.
TESTS = ("tests/conformance/test_prices.py", "tests/conformance/test_published.py")
OTHER = "starcoder2"


@dataclass(frozen=True)
class Watched:
    """A process that has ended: exit code, output, seconds, and the memory of its largest part."""

    code: int
    out: str
    seconds: float
    memory: int  # MiB


@dataclass(frozen=True)
class Judged:
    """What became of a hostile folder; `problems` is empty if all is as expected."""

    one: Hostile
    watched: Watched
    memory: int  # MiB beyond a run of sound folders
    line: str
    problems: tuple[str, ...]

    def __str__(self) -> str:
        """A row of the table."""
        row = f"{self.one.id:<40} {self.watched.code:>4} {self.watched.seconds:>5.1f}"
        wrong = f" WRONG: {'; '.join(self.problems)}" if self.problems else ""
        return f"{row} {self.memory:>6}  {self.line}{wrong}"


def watch(command: list[str], **environment: str) -> Watched:
    """Run a module's command with a closed stdin; it is ended after a minute."""
    started = time.monotonic()
    # Of all children of this helper: the kernel adds up only those that were waited for.
    code = (
        "import resource, subprocess, sys\n"
        "done = subprocess.run([sys.executable, '-m', *sys.argv[1:]], stdin=subprocess.DEVNULL,"
        " stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)\n"
        "sys.stdout.buffer.write(done.stdout)\n"
        "most = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024\n"
        "sys.stderr.write(f'{done.returncode} {most}')\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, *command],
        capture_output=True,
        cwd=PROJECT,
        check=False,
        env=os.environ | {"COLUMNS": "400", "PYTHONDONTWRITEBYTECODE": "1"} | environment,
        preexec_fn=_bounded,
    )
    code_and_memory = run.stderr.decode("utf-8", "replace").split()
    exit_code, memory = map(int, code_and_memory) if len(code_and_memory) == 2 else (-1, 0)
    out = run.stdout.decode("utf-8", "replace")
    return Watched(exit_code, out, time.monotonic() - started, memory)


def _bounded() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (12 << 30, 12 << 30))  # should the suite fail


def command(key: str, folder: Path) -> list[str]:
    """A run with the folder for this model, and with another model."""
    given = ["--models", f"{key},{OTHER}", "--model-dir", f"{key}={folder}", "--gate"]
    return ["pytest", *TESTS, *given, "-rs", "-p", "no:cacheprovider"]


def sound_memory(folders: Mapping[str, Path], scratch: Path) -> int:
    """MiB of the same run with the model's own folder."""
    return watch(command("phi3", folders["phi3"]), TMPDIR=str(scratch)).memory


def judge(one: Hostile, folders: Mapping[str, Path], scratch: Path, usual: int) -> Judged:
    """Make the folder in `scratch`, run the suite on it, and say what is not as expected."""
    temporary = scratch / "tmp"
    temporary.mkdir(parents=True)
    folder = make(one, folders[one.base], scratch / "folder", scratch / "canary")
    before = _listing(scratch)
    watched = watch(command(one.base, folder), TMPDIR=str(temporary))
    says = one.says.replace("FOLDER", str(folder))
    lines = [line for line in watched.out.splitlines() if line.startswith(f"{one.base}: ")]
    line = lines[0].replace(str(scratch), "") if lines else ""
    expected = f"{one.base}: {says}"
    checks = {
        f"exit {watched.code}": watched.code == 1 or (not says and watched.code == 0),
        f"{len(lines)} lines, first {line!r}": not says
        or (len(lines) == 1 and lines[0].startswith(expected)),
        "its other tests are not named": not says or f"not run: {expected}" in watched.out,
        "the other model was not checked": " passed" in watched.out,
        f"{watched.seconds:.0f} s": watched.seconds < LONGEST,
        f"{watched.memory - usual} MiB": watched.memory - usual < MOST,
        "Traceback": "Traceback" not in watched.out and "INTERNALERROR" not in watched.out,
        "a control character": not MISLEADING.search(watched.out),
        "something was written": _listing(scratch) == before,
        "the canary": not (scratch / "canary").exists(),
        "a line of another file": "root:x:" not in watched.out,
    }
    problems = tuple(problem for problem, holds in checks.items() if not holds)
    return Judged(one, watched, watched.memory - usual, line, problems)


def _listing(folder: Path) -> set[str]:
    return {str(path) for path in folder.rglob("*") if "pytest-of" not in str(path)}

"""Engines that are started: llama.cpp in this process, others in environments of their own.

Each has a port of loopback that the system chooses.
"""

import ctypes
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import IO, Any

from ..data.engines import Apart, Engine
from ..errors import LoadError
from ..redaction import is_secret
from ..text import first_line
from .client import Client, Limits, RequestError

_SILENT = -1
_PARENT_DEATH = 1  # PR_SET_PDEATHSIG


def engine_version(engine: Engine) -> str:
    """The version of the engine's package; empty if it is not installed."""
    if engine.apart:
        return engine.apart.version
    try:
        return version(engine.package)
    except PackageNotFoundError:
        return ""


def start(engine: Engine, file: Path, options: Mapping[str, Any]) -> Any:
    """The engine's server on a GGUF; it has `listening_address` and ends when it is dropped.

    LoadError if the engine cannot load the file, or has no such option.
    """
    import xllamacpp

    settings = xllamacpp.CommonParams()
    settings.model.path, settings.verbosity = str(file), _SILENT
    for name, value in options.items():
        known = name if _has(settings, name) else engine.renamed_options.get(name, name)
        _set(settings, known, value)
    try:
        return xllamacpp.Server(settings)
    except (RuntimeError, ValueError) as error:
        raise LoadError(f"{engine.title} cannot load {file.name} ({first_line(error)})") from None


def _owner(settings: Any, name: str) -> tuple[Any, str]:
    *path, last = name.split(".")
    for each in path:
        settings = getattr(settings, each)
    return settings, last


def _has(settings: Any, name: str) -> bool:
    owner, last = _owner(settings, name)
    return hasattr(owner, last)


def _set(settings: Any, name: str, value: Any) -> None:
    owner, last = _owner(settings, name)
    if not hasattr(owner, last):
        raise LoadError(f"this version of the engine has no option {name}")
    setattr(owner, last, value)


@dataclass
class Process:
    """An engine that runs in a process of its own."""

    listening_address: str
    process: subprocess.Popen[bytes]
    printed: IO[bytes]

    def close(self) -> None:
        """End it, and wait until it has ended."""
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.printed.close()


def start_apart(engine: Engine, key: str, folder: Path, home: Path) -> Process:
    """The engine's server on a tokenizer's folder, from the environment in `home`; it answers.

    LoadError if it ends before it answers, or takes too long.
    """
    assert engine.apart is not None, engine.key
    port = _free_port()
    names = {"home": home, "folder": folder, "port": port}
    command = [*engine.apart.command, *engine.apart.options.get(key, ())]
    given = {n: v.format(**names) for n, v in engine.apart.variables.items()}
    kept = {n: v for n, v in os.environ.items() if n != "PYTHONPATH" and not is_secret(n, v)}
    printed = tempfile.TemporaryFile()  # noqa: SIM115  # closed with the process
    try:
        process = subprocess.Popen(
            [part.format(**names) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=printed,
            stderr=subprocess.STDOUT,
            env=kept | given,
            preexec_fn=_end_with_parent,
        )
    except OSError as error:
        printed.close()
        raise LoadError(f"{engine.title} does not start ({error})") from None
    started = Process(f"http://127.0.0.1:{port}", process, printed)
    try:
        _wait_for(engine, engine.apart, started)
    except BaseException:
        started.close()
        raise
    return started


def _end_with_parent() -> None:
    """Have Linux end this process when its parent is killed: nobody else would."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PARENT_DEATH, signal.SIGTERM)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for(engine: Engine, apart: Apart, started: Process) -> None:
    """Return once the engine answers."""
    client = Client(started.listening_address, Limits(seconds=20.0))
    until = time.monotonic() + apart.seconds
    while time.monotonic() < until:
        if started.process.poll() is not None:
            raise LoadError(f"{engine.title} does not start ({_last_line(started)})")
        try:
            client.ask(engine.recognised_by.path)
        except RequestError:
            time.sleep(0.3)
        else:
            client.close()
            return
    raise LoadError(f"{engine.title} does not answer within {apart.seconds:.0f} s")


def _last_line(started: Process) -> str:
    """What the engine printed last: of a traceback, its error."""
    started.printed.seek(0)
    text = started.printed.read().decode("utf-8", "replace")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:300] if lines else f"exit {started.process.returncode}"

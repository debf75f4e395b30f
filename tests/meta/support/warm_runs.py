"""Runs of pytest in forks of a process that has imported the libraries: most of a small run's time.

Each run is a process of its own, as `python -m pytest` starts it, and imports the project's own
modules itself. Started as a file, this module is the process that forks: it knows none of them.
"""

import atexit
import gc
import json
import os
import runpy
import socket
import subprocess
import sys
import tempfile
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path

# What a small project's conftest.py starts with: the library then works without torch.
WITHOUT_TORCH = "import sys\nsys.modules['torch'] = None\n"
# Variables that the libraries read while they are imported.
_READ_AT_IMPORT = ("HF_", "HUGGING", "TRANSFORMERS_", "TOKENIZERS_", "TORCH", "OMP_", "CUDA_")
_MODULES = ("pydantic", "jinja2.sandbox", "transformers.models.auto.tokenization_auto")
_NO_BYTECODE = {"PYTHONDONTWRITEBYTECODE": "1"}
_LONGEST = 1 << 20  # bytes of a request


def run_warm(
    arguments: list[str], cwd: Path, environment: dict[str, str]
) -> tuple[int, str] | None:
    """Exit code, negative for a signal, and output of pytest; None if it must be started anew.

    That is where the environment would change what the libraries read when they are imported.
    """
    theirs = {name: value for name, value in environment.items() if _is_read_at_import(name)}
    if not theirs.items() <= (os.environ | _NO_BYTECODE).items():
        return None
    server = _server(WITHOUT_TORCH in (cwd / "conftest.py").read_text())
    reading, writing = os.pipe()
    request = json.dumps([arguments, str(cwd), environment]).encode()
    socket.send_fds(server, [request], [writing])
    os.close(writing)
    with os.fdopen(reading, encoding="utf-8", errors="replace") as output:
        text = output.read()
    answer = server.recv(_LONGEST)
    assert answer, "the process that forks has ended"
    return int(answer), text


def _is_read_at_import(name: str) -> bool:
    return name.startswith(_READ_AT_IMPORT) or (name.startswith("PYTHON") and name != "PYTHONPATH")


@cache
def _server(without_torch: bool) -> socket.socket:
    """The connection to the process that forks; it ends with this one."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        process = subprocess.Popen(
            [sys.executable, __file__, str(theirs.fileno()), str(without_torch)],
            env=os.environ | _NO_BYTECODE,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
            start_new_session=True,
        )
    atexit.register(process.wait)
    atexit.register(ours.close)
    return ours


def _import_libraries(without_torch: bool) -> None:
    if without_torch:
        sys.modules["torch"] = None  # type: ignore[assignment]
    for name in ("pytest", *_MODULES, *(() if without_torch else ("torch",))):
        __import__(name)
    from transformers import AutoTokenizer, PreTrainedTokenizerFast  # noqa: F401  # imports more

    for entry in entry_points(group="pytest11"):
        entry.load()
        # Else pytest would warn that it can no longer rewrite the plugin's assertions.
        package = sys.modules[entry.module.partition(".")[0]]
        package.__doc__ = f"{package.__doc__} PYTEST_DONT_REWRITE"
    gc.collect()
    gc.freeze()  # no collection touches, and so copies, what all runs share


def _serve(connection: socket.socket) -> tuple[list[str], str, dict[str, str], int]:
    """Fork for each request: return in the child, with the request and where it writes."""
    while True:
        request, handles, _, _ = socket.recv_fds(connection, _LONGEST, 1)
        if not request:
            sys.exit()
        if (pid := os.fork()) == 0:
            connection.close()
            return (*json.loads(request), handles[0])
        os.close(handles[0])
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        connection.send(str(code).encode())


def _run_pytest(arguments: list[str], cwd: str, environment: dict[str, str], output: int) -> None:
    """Be `python -m pytest` from here on."""
    os.setsid()
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.close(output)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(cwd)
    further = environment.get("PYTHONPATH", "").split(os.pathsep)
    sys.path[:1] = [cwd, *filter(None, further)]
    sys.argv = ["pytest", *arguments]
    tempfile.tempdir = None
    runpy.run_module("pytest", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    _import_libraries(sys.argv[2] == "True")
    _run_pytest(*_serve(socket.socket(fileno=int(sys.argv[1]))))

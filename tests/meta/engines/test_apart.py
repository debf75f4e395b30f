"""Engines in environments of their own: how their processes begin and end, and what is said."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tests.harness.data.engines import Apart, Engine, engines
from tests.harness.engines.client import Client
from tests.harness.engines.starting import start_apart
from tests.harness.environments import engine_folder
from tests.harness.errors import LoadError
from tests.harness.files import cache_folder
from tests.harness.sources.cache import RECENT, entries, mark_used
from tests.meta.conftest import run_pytest
from tests.tools.engines import install

# A server that knows one route, waits before it answers, and shows its environment.
SERVER = """
import http.server, json, os, sys, time
time.sleep(float(sys.argv[2]))
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        content = json.dumps(dict(version="1", environment=dict(os.environ))).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
    def log_message(self, *_):
        pass
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


def engine(code: str, *arguments: str, seconds: float = 20.0) -> Engine:
    """An engine as vLLM is declared, with this program in place of its own."""
    command = (sys.executable, "-c", code, *arguments)
    return replace(
        engines()["vllm"],
        apart=Apart(
            version="1",
            command=command,
            models=("phi3",),
            variables={"HERE": "{home}"},
            seconds=seconds,
        ),
    )


def lives(pid: int) -> bool:
    """Whether there is such a process, and it is not merely waited for."""
    status = Path(f"/proc/{pid}/stat")
    return status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z"


def test_it_answers_and_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_planted_4711_secret")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    started = start_apart(engine(SERVER, "{port}", "0.5"), "phi3", tmp_path, tmp_path / "home")
    seen = Client(started.listening_address).ask("/version")["environment"]
    assert seen["HERE"] == str(tmp_path / "home")
    assert not {"HF_TOKEN", "PYTHONPATH"} & set(seen)
    started.close()
    assert not lives(started.process.pid)


def test_what_ends_at_once_says_why(tmp_path: Path) -> None:
    faulty = engine("print('start'); raise ImportError('libcudart.so.13: not found')")
    with pytest.raises(LoadError, match=r"^vLLM does not start \(ImportError: libcudart"):
        start_apart(faulty, "phi3", tmp_path, tmp_path)
    with pytest.raises(LoadError, match=r"^vLLM does not start \(.*No such file.*bin/vllm"):
        start_apart(engines()["vllm"], "phi3", tmp_path, tmp_path)  # whose files are gone


def test_what_never_answers_is_ended(tmp_path: Path) -> None:
    slow = engine(
        f"open({str(tmp_path / 'pid')!r}, 'w').write(str(__import__('os').getpid()))\n"
        "import time; time.sleep(60)",
        seconds=2.0,
    )
    with pytest.raises(LoadError, match=r"^vLLM does not answer within 2 s$"):
        start_apart(slow, "phi3", tmp_path, tmp_path)
    assert not lives(int((tmp_path / "pid").read_text()))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a process with its parent")
def test_it_ends_with_a_killed_run(tmp_path: Path) -> None:
    """It takes a gigabyte, and nobody else would end it."""
    code = (
        "import time; from pathlib import Path\n"
        "from tests.meta.engines.test_apart import SERVER, engine\n"
        "from tests.harness.engines.starting import start_apart\n"
        "here = Path('.')\n"
        "started = start_apart(engine(SERVER, '{port}', '0'), 'phi3', here, here)\n"
        "print(started.process.pid, flush=True); time.sleep(60)"
    )
    run = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert run.stdout is not None
    pid = int(run.stdout.readline())
    assert lives(pid)
    os.kill(run.pid, signal.SIGKILL)
    run.wait()
    run.stdout.close()
    until = time.monotonic() + 10
    while lives(pid) and time.monotonic() < until:
        time.sleep(0.05)
    assert not lives(pid)


@pytest.fixture
def without_engines(tmp_path: Path) -> str:
    """A cache that has everything but environments."""
    cache = tmp_path / "cache"
    cache.mkdir()
    for part in cache_folder().iterdir():
        if part.name != "environments":
            (cache / part.name).symlink_to(part)
    return str(cache)


def test_missing_environment_names_the_command(without_engines: str) -> None:
    """It is a skip that says what it costs, and red under the gate."""
    asked = ("tests/serving/test_settings.py", "--engine", "vllm", "--models", "phi3")
    run = run_pytest(*asked, "--gate", MODEL_CONFORMANCE_CACHE=without_engines)
    assert run.code == 1, run.out[-2000:]
    line = run.line("gate: 6 skipped: ")
    assert "needs vLLM 0.32.0 (3.1 GB): python -m tests.tools.engines.install vllm" in line


def test_environment_that_a_run_starts_from_is_in_use(
    without_engines: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else drift, which prunes, would take it away from under the run."""
    monkeypatch.setenv("MODEL_CONFORMANCE_CACHE", without_engines)
    home = engine_folder(engines()["vllm"])
    home.mkdir(parents=True)
    mark_used(home)
    os.utime(home / ".model-conformance", (0, 0))
    asked = ("tests/serving/test_settings.py", "--engine", "vllm", "--models", "phi3", "-k", "vllm")
    run = run_pytest(*asked, MODEL_CONFORMANCE_CACHE=without_engines)
    assert "vLLM does not start" in run.out and run.code == 1
    (entry,) = entries()
    assert time.time() - entry.used < RECENT


@pytest.mark.parametrize("version", ["../../x", "1; rm", "-1", "0.32.*"])
def test_what_is_no_version_is_refused(version: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        install.main(["vllm", "--", version])
    assert f"{version!r}: give a version" in capsys.readouterr().err.splitlines()[-1]


def test_gate_counts_an_engine_only_if_it_is_asked_for() -> None:
    """Its checks are in the ledger; a run without it neither misses nor finds them."""
    asked = ("tests/serving/test_settings.py", "--models", "phi3", "--gate", "--gate-partial")
    run = run_pytest(*asked)
    assert run.code == 0, run.out[-2000:]
    assert "vllm" not in run.out

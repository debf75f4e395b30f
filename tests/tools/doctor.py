"""Is everything installed and in order that the suite needs? `python -m tests.tools.doctor`.

Checks versions, GPU, disk, bundle and hub, and names the command that fixes what it finds; it
changes nothing. Exit status: 0 no errors, 1 errors, 2 wrong usage, 130 interrupted.
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
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from tests.harness.redaction import redact

ROOT = Path(__file__).resolve().parents[2]
OLDEST = (3, 11)
INSTALL = "pip install -r requirements.txt"
BUILD = "python -m tests.harness.sources.folders"
CUDA_TORCH = "install a torch built for CUDA (https://pytorch.org/get-started/locally)"
NVIDIA_SMI = ("--query-gpu=name,driver_version", "--format=csv,noheader")
SECONDS = 180  # for a process that loads torch on a busy machine
GPU_BYTES = 8_000_000_000  # Llama-3.1-8B in NF4 and the headroom it is loaded with
BUNDLE_BYTES = 500_000_000  # 240 MB of packages, what is unpacked of them, and the folders
TEMPORARY_BYTES = 200_000_000  # written by tests for a while


@dataclass(frozen=True)
class Finding:
    """One line: `error` is broken or missing, `warning` is what part of the suite does without."""

    state: str  # ok, warning or error
    subject: str
    message: str
    fix: str = ""  # what to type or do

    def __str__(self) -> str:
        """`state  subject  message; fix: command`; names of files may hold any character."""
        line = f"{self.state:<7}  {self.subject:<12}  {self.message}"
        line += f"; fix: {self.fix}" if self.fix else ""
        return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in line)


def check_python() -> list[Finding]:
    """Python itself."""
    here = f"{platform.python_version()} ({sys.executable})"
    if sys.version_info >= OLDEST:
        return [Finding("ok", "python", here)]
    oldest = ".".join(map(str, OLDEST))
    fix = f"make a virtual environment with Python {oldest} or newer, then {INSTALL}"
    return [Finding("error", "python", f"{here} is older than {oldest}", fix)]


def check_packages() -> list[Finding]:
    """Installed versions against requirements.txt, which the snapshots were recorded with."""
    pins = _pinned()
    versions = {name: _installed(name) for name in pins}
    if missing := [name for name in pins if not versions[name]]:
        return [Finding("error", "packages", f"not installed: {', '.join(missing)}", INSTALL)]
    other = [f"{n} {versions[n]} (pinned: {pin})" for n, pin in pins.items() if versions[n] != pin]
    if not other:
        return [Finding("ok", "packages", f"{len(pins)} packages as in requirements.txt")]
    fix = f"{INSTALL}, unless you mean to try these versions"
    return [Finding("warning", "packages", ", ".join(other), fix)]


def check_gpu() -> list[Finding]:
    """Whether GPU, driver and torch's build fit each other."""
    gpus, problem = _gpus()
    facts, death = _torch_facts()
    if problem:
        fix = "install or load the NVIDIA driver, or leave out the GPU tests"
        return [Finding("error", "gpu", f"the driver does not answer: {problem}", fix)]
    if "torch" not in facts:
        fault = facts.get("torch_fault") or death
        return [Finding("error", "gpu", f"torch {_installed('torch')}: {fault}", INSTALL)]
    build = f"torch {facts['torch']}"
    if not gpus:
        fix = "none for the CPU tests; `pytest -m gpu --gate` needs a machine with a GPU"
        return [Finding("warning", "gpu", f"no NVIDIA GPU; {build} computes on the CPU", fix)]
    if facts["cuda"] is None:
        return [Finding("error", "gpu", f"{gpus[0]}, and {build} is a CPU build", CUDA_TORCH)]
    if not facts["usable"]:
        why = facts["reason"] or death or "torch gives no reason"
        fix = f"update the NVIDIA driver, or {CUDA_TORCH} as old as the driver's"
        return [Finding("error", "gpu", f"{gpus[0]}: {build} cannot use it: {why}", fix)]
    free = f"{gpus[0]}: {_size(facts['free'])} of {_size(facts['total'])} free"
    if facts["free"] < GPU_BYTES:
        fix = f"end what runs there: Llama-3.1-8B in NF4 needs {_size(GPU_BYTES)}"
        return [Finding("warning", "gpu", free, fix)]
    return [Finding("ok", "gpu", f"{free}, {build}")]


def check_bitsandbytes() -> list[Finding]:
    """Whether it is new enough, and quantizes and dequantizes."""
    name, number, pin = "bitsandbytes", _installed("bitsandbytes"), _pinned()["bitsandbytes"]
    release, oldest = ([int(it) for it in re.findall(r"\d+", text)[:3]] for text in (number, pin))
    if release < oldest:  # or not installed at all
        message = f"{number or 'not installed'}: no model loads in 4 bit without {pin} or newer"
        return [Finding("error", name, message, f"pip install bitsandbytes=={pin}")]
    facts, death = _torch_facts()
    if "torch" not in facts:
        return [Finding("warning", name, f"{number}; not tried: torch does not load", INSTALL)]
    if fault := facts.get("bitsandbytes_fault", death):
        return [Finding("error", name, f"{number}: {fault}", INSTALL)]
    return [Finding("ok", name, f"{number} quantizes on {'cuda' if facts['usable'] else 'cpu'}")]


def check_disk() -> list[Finding]:
    """Free bytes where the cache and temporary files are written."""
    from tests.harness.data.registry import registry
    from tests.harness.files import cache_folder
    from tests.harness.memory.footprint import footprint
    from tests.harness.sources.bundle import is_intact

    needed = 0 if all(map(is_intact, registry().values())) else BUNDLE_BYTES
    devices = {"cpu", "cuda"} if _gpus()[0] else {"cpu"}
    for model in registry().values():
        built = any((cache_folder() / "weights").glob(f"{model.key}-*"))
        if devices & set(model.quantized_on) and not built:
            needed += footprint(model, "bf16").parameters
    return [
        _room("cache", cache_folder(), needed, "MODEL_CONFORMANCE_CACHE"),
        _room("temporary files", Path(tempfile.gettempdir()), TEMPORARY_BYTES, "TMPDIR"),
    ]


def check_bundle() -> list[Finding]:
    """The models' folders against the registry's hashes."""
    from tests.harness.data.registry import registry
    from tests.harness.sources.bundle import folder_of

    folders = {key: folder_of(model) for key, model in registry().items()}
    built = [key for key, folder in folders.items() if folder.is_dir()]
    faults = {key: _fault(registry()[key].files, folders[key]) for key in built}
    if damaged := [key for key, fault in faults.items() if fault]:
        message = "; ".join(f"{key}: {faults[key]}" for key in damaged)
        return [Finding("error", "bundle", message, f"{BUILD} {' '.join(damaged)}")]
    message = f"{len(built)} of {len(folders)} models intact"
    rest = "" if len(built) == len(folders) else f"; the first run, or `{BUILD}`, builds the rest"
    return [Finding("ok", "bundle", message + rest)]


def check_hub() -> list[Finding]:
    """What the hub answers for each model; the bundle needs nothing of it."""
    from tests.harness.sources.fetch import KEPT, users_own

    variables = users_own()
    offline = os.environ.get(f"{KEPT}HF_HUB_OFFLINE", variables.pop("HF_HUB_OFFLINE", ""))
    facts, death = _run_child("report_hub", {"HF_HUB_ETAG_TIMEOUT": "5", **variables})
    if not facts:
        return [Finding("warning", "hub", f"could not be asked: {death}", INSTALL)]
    token = facts.pop("token")
    keys: dict[str, list[str]] = {}  # by kind of answer; its sentence is told once
    for key, (kind, _) in facts.items():
        keys.setdefault(kind, []).append(key)
    findings = [_answer(kind, facts[those[0]][1], those, token) for kind, those in keys.items()]
    if offline.upper() in ("1", "ON", "YES", "TRUE"):
        message = f"HF_HUB_OFFLINE={offline}: --source hub takes only what is cached"
        findings.append(Finding("warning", "hub", message, "unset HF_HUB_OFFLINE"))
    if not token:
        message = "no token: gated models cannot be fetched (the bundle needs none)"
        findings.append(Finding("warning", "hub", message, "hf auth login"))
    return findings


CHECKS: dict[str, Callable[[], list[Finding]]] = {
    "python": check_python,
    "packages": check_packages,
    "gpu": check_gpu,
    "bitsandbytes": check_bitsandbytes,
    "disk": check_disk,
    "bundle": check_bundle,
    "hub": check_hub,
}


def _size(count: float) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"


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
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return ["an NVIDIA GPU"] * any(Path("/proc/driver/nvidia/gpus").glob("*")), ""
    command = [tool, *NVIDIA_SMI]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    lines = (done.stdout + done.stderr).strip().splitlines()
    return ([], (lines or ["nvidia-smi fails"])[0]) if done.returncode else (lines, "")


def _room(purpose: str, folder: Path, needed: int, variable: str) -> Finding:
    """Whether a folder, or the nearest one above it that exists, has room and can be written."""
    there = next(path for path in (folder, *folder.parents) if path.exists())
    fix = f"free some space, or set {variable} to a folder on another disk"
    if not (there.is_dir() and os.access(there, os.W_OK | os.X_OK)):
        return Finding("error", "disk", f"{purpose}: {there} cannot be written", fix)
    free = shutil.disk_usage(there).free
    message = f"{purpose}: {_size(free)} free in {there}"
    if free >= needed:
        return Finding("ok", "disk", message)
    # Too little for the weights of large models may do for everything else.
    state = "error" if free < BUNDLE_BYTES else "warning"
    return Finding(state, "disk", f"{message}, {_size(needed)} needed", fix)


def _fault(pins: dict[str, Any], folder: Path) -> str:
    """The first file of a model's folder that is not the pinned one; empty if all are."""
    from tests.harness.files import sha256

    names = {path.name for path in folder.iterdir()}
    for name, pin in pins.items():
        if name not in names:
            return f"{name} is missing"
        if (count := (folder / name).stat().st_size) != pin.bytes:
            return f"{name} has {count:,} bytes, expected {pin.bytes:,}"
        if sha256(folder / name) != pin.sha256:
            return f"{name} is altered: its sha256 is not the pinned one"
    extra = sorted(names - set(pins))
    return f"{extra[0]!a} does not belong there" if extra else ""


def _answer(kind: str, sentence: str, models: list[str], token: bool) -> Finding:
    """The finding for the models that got the same kind of answer."""
    keys = ", ".join(models)
    message, _, fix = sentence.partition(": ")[2].partition("; ")
    if kind == "open":
        return Finding("ok", "hub", f"can be read: {keys}{' with your token' if token else ''}")
    if kind == "refused" and token:
        return Finding("error", "hub", f"{keys}: your token is refused", "hf auth login")
    return Finding("warning", "hub", f"{keys}: {message}", fix)


def _run_child(function: str, environment: dict[str, str]) -> tuple[dict[str, Any], str]:
    """What a function of this module reports in a process of its own, and how that one died."""
    command = [sys.executable, "-c", f"from tests.tools.doctor import {function} as f; f()"]
    options: dict[str, Any] = {"cwd": ROOT, "env": environment, "timeout": SECONDS}
    options |= {"capture_output": True, "text": True, "errors": "replace"}
    try:
        done = subprocess.run(command, check=False, **options)
    except subprocess.TimeoutExpired:
        return {}, f"no answer within {SECONDS} s"
    facts: dict[str, Any] = {}
    for line in done.stdout.splitlines():
        if line.startswith("{"):
            facts.update(json.loads(line))
    how = f"signal {-done.returncode}" if done.returncode < 0 else f"status {done.returncode}"
    last = (done.stderr.strip().splitlines() or ["no output"])[-1]
    return facts, f"its process ended with {how}: {last[:200]}" if done.returncode else ""


def _report(**facts: Any) -> None:
    print(json.dumps(facts), flush=True)  # at once: the next step may end the process


@cache
def _torch_facts() -> tuple[dict[str, Any], str]:
    return _run_child("report_torch", dict(os.environ))


def report_torch() -> None:
    """In a child: import torch and bitsandbytes and compute with them."""
    from tests.harness.model.device import preflight
    from tests.harness.text import first_line

    package = "torch"
    try:
        import torch

        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            usable = bool(torch.cuda.is_available())
        reason = "; ".join(str(warning.message).partition("\n")[0] for warning in caught)
        _report(torch=torch.__version__, cuda=torch.version.cuda, usable=usable, reason=reason)
        if usable:
            free, total = torch.cuda.mem_get_info()
            _report(free=free, total=total)
        package = "bitsandbytes"
        import bitsandbytes  # noqa: F401

        _report(bitsandbytes_fault=preflight("cuda" if usable else "cpu") or "")
    except BaseException as error:  # some broken packages raise SystemExit
        _report(**{f"{package}_fault": f"cannot be loaded: {first_line(error)}"})


def report_hub() -> None:
    """In a child, since the hub's library reads its switches at import: ask for a file a model.

    A hub that does not answer is asked once.
    """
    from huggingface_hub import get_hf_file_metadata, get_token, hf_hub_url
    from huggingface_hub.errors import FileMetadataError, GatedRepoError

    from tests.harness.data.registry import registry
    from tests.harness.sources.hub import ask, explain

    _report(token=bool(get_token()))
    for model in registry().values():
        if not model.revision:
            continue
        url = hf_hub_url(model.hub_id, "config.json", revision=model.revision)
        try:
            ask(url)
            if get_hf_file_metadata(url, timeout=5).commit_hash is None:
                raise FileMetadataError("a portal's page, not a hub's: no commit is named")
            _report(**{model.key: ["open", ""]})
        except Exception as error:
            status = getattr(getattr(error, "response", None), "status_code", 0)
            refused = status == 401 and not isinstance(error, GatedRepoError)
            kind = "refused" if refused else f"{type(error).__name__} {status}"
            _report(**{model.key: [kind, str(explain(model, "config.json", error))]})
            if not status:
                return


def check(subject: str) -> list[Finding]:
    """The findings on a subject; that it cannot be checked is one, too."""
    try:
        return CHECKS[subject]()
    except ImportError as error:
        return [Finding("error", subject, f"could not be checked: {error}", INSTALL)]
    except Exception as error:
        reason = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
        return [Finding("error", subject, f"could not be checked: {reason}")]


def summary(findings: list[Finding]) -> str:
    """`2 errors, 1 warning; fix `gpu` first`."""
    errors = [finding for finding in findings if finding.state == "error"]
    count = sum(finding.state == "warning" for finding in findings)
    counts = f"{len(errors) or 'no'} error{'s' * (len(errors) != 1)}, "
    counts += f"{count or 'no'} warning{'s' * (count != 1)}"
    return f"{counts}; " + (f"fix `{errors[0].subject}` first" if errors else "next: pytest")


def main(arguments: list[str] | None = None) -> int:
    """Print each finding as it is made; the exit status."""
    about, _, rest = (__doc__ or "").partition("\n\n")
    prog = "python -m tests.tools.doctor"
    parser = argparse.ArgumentParser(prog=prog, description=about, epilog=rest)
    names = ", ".join(CHECKS)
    parser.add_argument("subjects", nargs="*", metavar="SUBJECT", help=f"{names} (default: all)")
    parser.add_argument("--json", action="store_true", help="print JSON objects (default: off)")
    chosen = parser.parse_args(arguments)
    for name in chosen.subjects:
        if name not in CHECKS:
            parser.error(f"unknown subject {name}: allowed are {names}")
    findings: list[Finding] = []
    try:
        for name in chosen.subjects or CHECKS:
            new = check(name)
            findings += new
            if not chosen.json:
                print(redact("\n".join(map(str, new))), flush=True)
    except KeyboardInterrupt:
        print("interrupted: run it again", file=sys.stderr)
        return 130
    rows = [asdict(finding) for finding in findings]
    print(redact(json.dumps(rows, indent=1)) if chosen.json else summary(findings))
    return int(any(finding.state == "error" for finding in findings))


if __name__ == "__main__":
    sys.exit(main())

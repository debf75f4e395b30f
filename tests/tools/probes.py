"""What the doctor tries in processes of their own, which a broken package may end."""

from __future__ import annotations  # as doctor.py: read by old Pythons, before anything is checked

import json
import shutil
import subprocess
import sys
import warnings
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 180  # for a process that loads torch on a busy machine


def gpus() -> tuple[list[str], str]:
    """`name, driver` of every NVIDIA GPU, and why the driver does not answer."""
    if not (tool := shutil.which("nvidia-smi")):
        return ["an NVIDIA GPU"] * any(Path("/proc/driver/nvidia/gpus").glob("*")), ""
    command = [tool, "--query-gpu=name,driver_version", "--format=csv,noheader"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    lines = (done.stdout + done.stderr).strip().splitlines()
    return ([], (lines or ["nvidia-smi fails"])[0]) if done.returncode else (lines, "")


@cache
def run_child(function: str, /, **environment: str) -> tuple[dict[str, Any], str]:
    """What a function of this module reports in a process of its own, and how that one died."""
    command = [sys.executable, "-c", f"from tests.tools.probes import {function} as f; f()"]
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

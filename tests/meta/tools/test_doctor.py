"""The doctor: each thing it is for, really made wrong, and no error where nothing is wrong."""

import ast
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.harness.data.registry import registry
from tests.harness.model.device import has_cuda
from tests.harness.sources.bundle import folder_of
from tests.meta.conftest import PROJECT
from tests.meta.support.hub_runs import CANARY
from tests.meta.support.hub_server import serve
from tests.tools import doctor, probes
from tests.tools.doctor import Finding


def finding_of(line: str) -> Finding:
    """The finding that a line shows."""
    message, _, fix = line[23:].partition("; fix: ")
    return Finding(line[:7].strip(), line[9:21].strip(), message, fix)


def findings(*subjects: str, **variables: object) -> list[Finding]:
    """What the command finds with no variables of the hub's but these; its status is checked."""
    hub = ("HF_", "MODEL_CONFORMANCE_HF_")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(hub)}
    environment = inherited | {name: str(value) for name, value in variables.items()}
    command = [sys.executable, "-m", "tests.tools.doctor", *subjects]
    done = subprocess.run(
        command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False
    )
    assert "Traceback" not in done.stderr, done.stderr
    assert CANARY not in done.stdout
    result = [finding_of(line) for line in done.stdout.splitlines()[:-2]]
    assert done.returncode == any(finding.state == "error" for finding in result)
    return result


def check(finding: Finding, state: str, message: str, fix: str = "") -> None:
    """The finding has that state and these words."""
    assert finding.state == state, finding
    assert message in finding.message
    assert fix in finding.fix


def test_versions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(doctor, "ROOT", tmp_path)
    pins = (PROJECT / "requirements.txt").read_text("utf-8")
    (tmp_path / "requirements.txt").write_text(pins.replace("jinja2==3", "jinja2==2"))
    (other,) = doctor.check("packages")
    check(other, "warning", "(pinned: 2.")
    (tmp_path / "requirements.txt").write_text(pins.replace("jinja2==", "not-there=="))
    assert doctor.main(["python", "packages"]) == 1
    python, packages, *summary = capsys.readouterr().out.splitlines()
    assert python.startswith("ok       python ")
    words = "not installed: not-there; fix: pip install -r requirements.txt"
    assert packages == f"error    packages      {words}"
    assert summary == ["errors: 1, warnings: 0", "fix `packages` first"]


def test_old_pythons_can_read_it() -> None:
    """Else there is a syntax error where the finding should be."""
    for module in (doctor, probes):
        ast.parse(Path(str(module.__file__)).read_text(encoding="utf-8"), feature_version=(3, 9))


def test_an_unknown_subject_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        doctor.main(["gpus"])
    assert "gpus: allowed are python, packages, gpu, " in capsys.readouterr().err


def package(folder: Path, name: str, code: str) -> Path:
    """A folder whose package of that name is broken."""
    (folder / name).mkdir(parents=True)
    (folder / name / "__init__.py").write_text(code)
    return folder


BREAKS = {
    "raises": ("raise ImportError('libcudart.so.13: cannot open')", "cannot open"),
    "crashes": ("import os\nos.kill(os.getpid(), 11)", "signal 11"),
    "exits": ("raise SystemExit('gone')", "gone"),
}


# As much of torch as is called before bitsandbytes is loaded.
TORCH = """class cuda: is_available = bool
class version: cuda = None"""


@pytest.mark.parametrize("how", BREAKS)
def test_a_broken_package_is_an_error(how: str, tmp_path: Path) -> None:
    code, message = BREAKS[how]
    broken = package(tmp_path / "1", "torch", code)
    torch, quantizer = findings("gpu", "bitsandbytes", PYTHONPATH=broken)
    check(torch, "error", message, "pip install -r requirements.txt")
    check(quantizer, "warning", "torch does not load")
    broken = package(package(tmp_path / "2", "torch", TORCH), "bitsandbytes", code)
    (quantizer,) = findings("bitsandbytes", PYTHONPATH=broken)
    check(quantizer, "error", message)


@pytest.mark.parametrize("name", ["pydantic", "pytest"])
def test_what_cannot_be_imported_is_an_error(name: str, tmp_path: Path) -> None:
    broken = package(tmp_path, name, "raise ImportError('planted')")
    python, bundle, disk = findings("python", "bundle", "disk", PYTHONPATH=broken)
    assert python.state == "ok"
    for finding in (bundle, disk):
        check(finding, "error", "could not be checked: ImportError: planted", "pip install")


def test_an_old_bitsandbytes_is_an_error(tmp_path: Path) -> None:
    metadata = tmp_path / "bitsandbytes-0.43.1.dist-info" / "METADATA"
    metadata.parent.mkdir()
    metadata.write_text("Metadata-Version: 2.1\nName: bitsandbytes\nVersion: 0.43.1\n")
    (finding,) = findings("bitsandbytes", PYTHONPATH=tmp_path)
    check(finding, "error", "0.43.1: no model loads", "pip install bitsandbytes==")


def test_ctrl_c_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt() -> list[Finding]:
        raise KeyboardInterrupt

    monkeypatch.setitem(doctor.CHECKS, "gpu", interrupt)
    assert doctor.main(["python", "gpu"]) == 130
    assert capsys.readouterr().err == "interrupted: run it again\n"


def nvidia_smi(folder: Path, script: str) -> str:
    """A PATH that finds this nvidia-smi first."""
    path = folder / "nvidia-smi"
    folder.mkdir()
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return f"{folder}{os.pathsep}{os.environ['PATH']}"


@pytest.mark.skipif(has_cuda(), reason="here torch can use the GPU")
def test_a_gpu_that_cannot_be_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reason = "it is a CPU build" if version("torch").endswith("+cpu") else "H100, 550.54"
    cards = {
        "/nowhere": ("warning", "no NVIDIA GPU", "pytest -m gpu --gate"),
        nvidia_smi(tmp_path / "1", "echo 'NVIDIA H100, 550.54'"): (
            *("error", reason),
            "torch built for CUDA",
        ),
        nvidia_smi(tmp_path / "2", "echo 'NVIDIA-SMI has failed'; exit 9"): (
            *("error", "the driver does not answer: NVIDIA-SMI has failed"),
            "NVIDIA driver",
        ),
    }
    for path, expected in cards.items():
        monkeypatch.setenv("PATH", path)
        (finding,) = doctor.check("gpu")
        check(finding, *expected)
    (quantizer,) = doctor.check("bitsandbytes")
    check(quantizer, "ok", " quantizes on cpu")


OLD = "The NVIDIA driver on your system is too old (found version 12020)."
CARDS: dict[str, tuple[dict[str, object], str, str]] = {
    "old_driver": ({"usable": False, "reason": OLD}, "error", "too old (found version 12020)"),
    "taken": ({"usable": True, "free": 1e9, "total": 8e10}, "warning", "1.0 GB of 80.0 GB free"),
    "free": ({"usable": True, "free": 7e10, "total": 8e10}, "ok", "70.0 GB of 80.0 GB free"),
}


@pytest.mark.parametrize("case", CARDS)
def test_gpus_of_other_machines(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What torch reports on such machines, written down; the rest is real."""
    facts, state, message = CARDS[case]
    monkeypatch.setattr(doctor, "gpus", lambda: (["NVIDIA H100, 550.54"], ""))
    monkeypatch.setattr(doctor, "run_child", lambda _: (facts, ""))
    (finding,) = doctor.check("gpu")
    check(finding, state, message)


def flip(path: Path) -> None:
    """Change one byte."""
    content = path.read_bytes()
    path.write_bytes(bytes([content[0] ^ 1]) + content[1:])


HARM: tuple[Callable[[Path], object], ...] = (
    flip,
    Path.unlink,
    lambda path: path.write_bytes(path.read_bytes()[:-100]),
    lambda path: (path.parent / "x.jinja").touch(),
)


def test_harm_in_the_bundle(
    bundle: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODEL_CONFORMANCE_CACHE", str(tmp_path / "a cache"))
    folder = folder_of(registry()["phi3"])
    shutil.copytree(bundle["phi3"], folder)
    (intact,) = doctor.check("bundle")
    check(intact, "ok", "1 of 6 models are built")
    for harm in HARM:
        shutil.copytree(bundle["phi3"], folder, dirs_exist_ok=True)
        harm(folder / "tokenizer.json")
        (finding,) = doctor.check("bundle")
        check(finding, "error", "files missing, altered or added: phi3")
        assert finding.fix == "python -m tests.tools.fetch phi3"
        shutil.rmtree(folder)


def test_disks(small_disk: Path, tmp_path: Path) -> None:
    (small_disk / "file").write_bytes(bytes(19_500_000))
    cache = small_disk / "cache"
    for finding in findings("disk", MODEL_CONFORMANCE_CACHE=cache, TMPDIR=small_disk):
        check(finding, "error", f" free in {small_disk}, ", "to a folder on another disk")
    (tmp_path / "file").touch()
    blocked, temporary = findings("disk", MODEL_CONFORMANCE_CACHE=tmp_path / "file")
    check(blocked, "error", "file cannot be written", "MODEL_CONFORMANCE_CACHE")
    assert temporary.state == "ok"


HUB = {
    "unauthorised": ("error", "login refused", "hf auth login"),
    "gated": ("warning", "phi3, qwen2, starcoder2: access is gated", "https://huggingface.co/"),
    "portal": ("warning", "what answers is not a hub", "check the proxy"),
    "silent": ("warning", "no answer from 127.0.0.1", "check the network"),
    "": ("ok", "llama3_1, llama3_1_instruct, phi3, qwen2, starcoder2: can be read", ""),
}


@pytest.mark.parametrize("fault", HUB)
def test_the_hubs_answers(fault: str, bundle: dict[str, Path], tmp_path: Path) -> None:
    """Offline mode of this process does not matter, and no token is printed."""
    models = [model for model in registry().values() if model.revision]
    folders = {model.hub_id: bundle[model.key] for model in models}
    faults = dict.fromkeys(folders, fault) if fault else {}
    settings = {"HF_HUB_OFFLINE": 1, "HF_TOKEN": CANARY, "HF_HUB_ETAG_TIMEOUT": 1}
    with serve(folders, faults) as endpoint:
        answer, offline = findings("hub", HF_ENDPOINT=endpoint, HF_HOME=tmp_path, **settings)
    check(answer, *HUB[fault])
    check(offline, "warning", "HF_HUB_OFFLINE=1", "unset HF_HUB_OFFLINE")


def test_no_token(tmp_path: Path) -> None:
    with serve({}, {}) as endpoint:
        pass
    answer, token = findings("hub", HF_HOME=tmp_path, HF_ENDPOINT=endpoint, HF_HUB_ETAG_TIMEOUT=1)
    check(answer, "warning", "no answer from 127.0.0.1")
    check(token, "warning", "no token", "hf auth login")

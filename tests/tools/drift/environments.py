"""An isolated environment for each version of a package: installed by uv, whole, and cached."""

import json
import re
import subprocess
import sys
from collections.abc import Collection, Iterable
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.harness.data.engines import apart_by_package
from tests.harness.environments import (
    Environment,
    cached_environment,
    engine_environment,
    installed,
)
from tests.harness.errors import AssetError
from tests.harness.files import PROJECT, cache_folder, scratch_folder, sha256_text
from tests.harness.sources.cache import mark_used

REQUIREMENTS = ("requirements.txt", "tests/meta/requirements.txt")
CURRENT = "current"  # the environment that runs the command
# What conftest.py's plugins, tests/conformance and the observing need beside the library, at the
# project's own pins.
# Without protobuf old transformers hide why a tokenizer cannot be loaded behind its absence.
TOOLS = (
    *("pytest", "syrupy", "pydantic", "packaging", "jinja2", "platformdirs", "filelock"),
    *("time-machine", "protobuf"),
)
# What trl needs beside them.
TRAINING = ("torch", "datasets", "accelerate")
# What loads models beside transformers, lent by the environment that runs the command: gigabytes.
LENT = ("torch", "accelerate", "bitsandbytes")
# Which versions go together: once `--with` names one, uv chooses the others.
FOLLOWING = ("transformers", "tokenizers", "huggingface-hub", "datasets", "accelerate")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def pins() -> dict[str, str]:
    """The project's pinned versions by package."""
    texts = [(PROJECT / name).read_text(encoding="utf-8") for name in REQUIREMENTS]
    lines = "\n".join(texts).splitlines()
    pairs = (line.split("==") for line in lines if "==" in line)
    return {canonicalize_name(name): number for name, number in pairs}


def requirements(package: str, version: str, given: tuple[str, ...] = ()) -> list[str]:
    """What is installed: the package at its version, and the project's pins of what is not it.

    Of transformers' own dependencies nothing is pinned: old versions need old ones. tokenizers is
    looked at alone, since each transformers takes few versions of it. `given` lines `NAME==VERSION`
    stand in for pins, and free those that depend on each other.
    """
    pinned, names = pins(), list(TOOLS)
    if package not in ("transformers", "tokenizers", "xllamacpp"):
        names += ["transformers", "tokenizers", "huggingface-hub"]
    if package == "trl":
        names += TRAINING
    freed: set[str] = {canonicalize_name(line.partition("==")[0]) for line in given}
    freed |= {package, *(FOLLOWING if given else ())}
    others = [f"{name}=={pinned[name]}" for name in names if name not in freed]
    return [f"{package}=={version}", *given, *others]


def environment(package: str, version: str, given: tuple[str, ...] = ()) -> Environment:
    """The environment, installed if it is not cached; AssetError with one line if it cannot be."""
    if version == CURRENT:
        return Environment(Path(sys.executable), installed(sys.path))
    if engine := apart_by_package().get(package):
        return engine_environment(engine, version)
    return cached_environment(f"{package}-{version}", requirements(package, version, given))


def releases(package: str) -> list[str]:
    """The released versions of a package that this Python can have, the oldest first; AssetError.

    No previews. pip asks the index, with its user's settings.
    """
    command = [sys.executable, "-m", "pip", "index", "versions", package, "--json"]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    if run.returncode:
        said = run.stderr.strip().splitlines() or ["pip said nothing"]
        raise AssetError(f"the index does not tell the versions of {package}: {said[-1][:300]}")
    return sorted(json.loads(run.stdout)["versions"], key=Version)


def with_lent(made: Environment) -> Environment:
    """The environment beside a folder of links to what loads models, where that is installed here.

    Only what the environment lacks is lent.
    """
    if made.python == Path(sys.executable):
        return made
    found = {name: distribution(name) for name in sorted(_needed(LENT, made.packages))}
    places = {
        str(one.locate_file(file.parts[0]))
        for one in found.values()
        for file in one.files or ()
        if file.parts[0] not in ("..", "__pycache__")
    }
    folder = (
        cache_folder() / "environments" / f"lent-{sha256_text(json.dumps(sorted(places)))[:10]}"
    )
    with scratch_folder(folder.parent) as scratch:
        if places and not folder.is_dir():
            for place in map(Path, places):
                (scratch / place.name).symlink_to(place)
            scratch.rename(folder)
        if places:
            mark_used(folder)
    lent = {name: one.version for name, one in found.items()}
    return replace(made, lent=lent, lent_folder=folder if places else None)


def can_load(made: Environment) -> bool:
    """Whether models can be loaded there."""
    return {*LENT} <= {*made.packages, *made.lent}


def _needed(names: Iterable[str], present: Collection[str]) -> set[str]:
    """The packages and what they need, as far as installed here, without what is present."""
    needed, waiting = set[str](), list(names)
    while waiting:
        name = canonicalize_name(waiting.pop())
        if name in needed or name in present:
            continue
        try:
            lines = distribution(name).requires or ()
        except PackageNotFoundError:
            continue
        needed.add(name)
        needs = map(Requirement, lines)
        waiting += [
            one.name for one in needs if not one.marker or one.marker.evaluate({"extra": ""})
        ]
    return needed

"""The embedded default: hub folders rebuilt, byte for byte, from pinned packages of the index."""

import errno
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

import platformdirs
from filelock import FileLock

from .errors import AssetError
from .models import FIXTURES, Model
from .recipes import Origin, Recipe, build_files, read_recipe
from .vocabularies import read_gguf

REQUIREMENTS = FIXTURES / "bundle-requirements.txt"
Progress = Callable[[str], None]


def cache_folder() -> Path:
    """Where built files are kept: MODEL_CONFORMANCE_CACHE, else the user's cache folder."""
    override = os.environ.get("MODEL_CONFORMANCE_CACHE")
    return Path(override or platformdirs.user_cache_dir("model-conformance")).absolute()


def sha256(path: Path) -> str:
    """Hex digest of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def folder_of(model: Model) -> Path:
    """The model's bundle folder; its name carries the hashes it must hold, so that two versions
    of the project share a cache without rebuilding for each other."""
    pins = "".join(f"{name} {file.sha256}\n" for name, file in sorted(model.files.items()))
    return cache_folder() / "bundle" / f"{model.key}-{hashlib.sha256(pins.encode()).hexdigest()[:12]}"


def is_intact(model: Model) -> bool:
    """Whether the folder holds exactly the registry's files with exactly their bytes."""
    folder = folder_of(model)
    if not folder.is_dir() or {path.name for path in folder.iterdir()} != set(model.files):
        return False
    return all(sha256(folder / name) == file.sha256 for name, file in model.files.items())


def bundle(models: Iterable[Model], progress: Progress) -> dict[str, Path]:
    """Folders by key, built first where they are missing or damaged.

    Raises AssetError: no package index, a package's hash differs, no space left, or a built file
    that is not the pinned one.
    """
    wanted = list(models)
    if any(not is_intact(model) for model in wanted):
        try:
            home = cache_folder() / "bundle"
            home.mkdir(parents=True, exist_ok=True)
            # Of two processes at once the second waits here, then finds the work done.
            with FileLock(home / ".lock"):
                missing = [model for model in wanted if not is_intact(model)]
                if missing:
                    build(missing, home, progress)
        except OSError as error:
            raise AssetError(storage_sentence(error)) from None
    return {model.key: folder_of(model) for model in wanted}


def storage_sentence(error: OSError) -> str:
    """One line for a cache that cannot be written."""
    what = "no space left" if error.errno == errno.ENOSPC else error.strerror or str(error)
    return (
        f"the bundle cannot be built in {cache_folder()}: {what}; free 500 MB there or set "
        "MODEL_CONFORMANCE_CACHE to a folder that can be written"
    )


def build(models: list[Model], home: Path, progress: Progress) -> None:
    """Download, build on all cores, check, and move each folder into its place whole."""
    for leftover in home.glob(".build-*"):  # of a killed process; we hold the lock
        shutil.rmtree(leftover, ignore_errors=True)
    recipes = {model.key: read_recipe(model.key) for model in models}
    with tempfile.TemporaryDirectory(prefix=".build-", dir=home) as scratch:
        packages = download({o.package for r in recipes.values() for o in origins(r)}, Path(scratch), progress)
        started = time.monotonic()
        with ProcessPoolExecutor(min(len(models), os.cpu_count() or 1)) as pool:
            futures = {
                pool.submit(build_folder, model, recipes[model.key], packages, Path(scratch)): model
                for model in models
            }
            for count, future in enumerate(as_completed(futures), 1):
                place(futures[future], future.result())
                seconds = time.monotonic() - started
                progress(f"built {futures[future].key} ({count} of {len(models)}, {seconds:.0f} s)")


def origins(recipe: Recipe) -> list[Origin]:
    """The package files a recipe reads."""
    return [recipe.vocabulary, *([recipe.template] if recipe.template else [])]


def download(packages: set[str], scratch: Path, progress: Progress) -> dict[str, Path]:
    """Archives by package name, hash-checked by pip."""
    lines = REQUIREMENTS.read_text(encoding="utf-8").splitlines()
    wanted = [line for line in lines if line.split("==")[0].replace("-", "_") in packages]
    listing = scratch / "requirements.txt"
    listing.write_text("\n".join(wanted) + "\n", encoding="utf-8")
    progress(f"downloading {', '.join(sorted(packages))} from the package index")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"]
    command += ["--no-binary", "llama-cpp-python", "--dest", str(scratch), "-r", str(listing)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    if run.returncode:
        raise AssetError(download_sentence(run.stderr))
    return {path.name.split("-")[0]: path for path in scratch.iterdir() if path != listing}


def download_sentence(stderr: str) -> str:
    """One line for a failed download; pip's own last error where we know no better."""
    if "DO NOT MATCH THE HASHES" in stderr:
        return (
            "a package of the index is not the one pinned in fixtures/bundle-requirements.txt "
            "(sha256 differs): do not use it; check the index or mirror you install from"
        )
    if "No space left" in stderr:
        return storage_sentence(OSError(errno.ENOSPC, "no space left"))
    if "No module named pip" in stderr:
        return "this environment has no pip: install requirements.txt into it"
    errors = [line for line in stderr.splitlines() if line.startswith("ERROR:")] or ["no answer"]
    return (
        f"the bundle's packages cannot be downloaded ({errors[-1].removeprefix('ERROR: ')}); "
        "check that pip reaches a package index, or use --source hub or --model-dir"
    )


def build_folder(model: Model, recipe: Recipe, packages: dict[str, Path], scratch: Path) -> Path:
    """Build one model's files in a folder of their own; runs in a worker process."""
    origin = recipe.vocabulary
    folder = scratch / model.key
    (folder / "out").mkdir(parents=True)
    gguf = extract(packages[origin.package], origin.path, folder / "vocabulary.gguf")
    vocabulary = read_gguf(gguf, origin.size)
    template = vocabulary.template
    if recipe.template and recipe.template.path.endswith(".jinja"):
        path = extract(packages[recipe.template.package], recipe.template.path, folder / "t.jinja")
        template = path.read_bytes().decode()
    if recipe.template and recipe.template.replace and template:
        template = template.replace(*recipe.template.replace)
    for name, content in build_files(model, recipe, vocabulary, template).items():
        (folder / "out" / name).write_bytes(content)
    return folder / "out"


def extract(archive: Path, member: str, target: Path) -> Path:
    """Copy one file out of a wheel or sdist; an sdist's paths start with its own folder."""
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel, wheel.open(member) as source:
            target.write_bytes(source.read())
        return target
    with tarfile.open(archive) as sdist:
        top = archive.name.removesuffix(".tar.gz")
        source_file = sdist.extractfile(f"{top}/{member}")
        assert source_file is not None, member
        target.write_bytes(source_file.read())
    return target


def place(model: Model, built: Path) -> None:
    """Check every built file against its pin, then move the folder in place in one step."""
    for name, file in model.files.items():
        if (found := sha256(built / name)) != file.sha256:
            raise AssetError(
                f"{model.key}: the built {name} has sha256 {found[:12]}, pinned is "
                f"{file.sha256[:12]}: fixtures/recipes/{model.key}.json or the registry is wrong"
            )
    target = folder_of(model)
    if target.exists():  # a damaged one: out of the way first, a folder cannot replace a full one
        target.rename(built.parent / "damaged")
    built.rename(target)

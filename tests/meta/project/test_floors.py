"""The floors of .importlinter: each package has one, and an import from above is red."""

import configparser
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.meta.conftest import PROJECT

FLOORS = ".importlinter"
UPWARD = {
    "harness": ("harness/text.py", "tests.harness.reports.data"),
    "tests_of_the_suite": ("harness/finish.py", "tests.meta.conftest"),
    "command": ("tools/fetch.py", "tests.harness.plugins.results"),
}


def test_every_package_has_a_floor() -> None:
    config = configparser.ConfigParser()
    config.read(PROJECT / FLOORS, encoding="utf-8")
    floors = config["importlinter:contract:floors"]["layers"].replace("|", " ").split()
    tests, harness = PROJECT / "tests", PROJECT / "tests" / "harness"
    names = [f"tests.{path.stem}" for path in tests.glob("[!_]*") if path.name != "harness"]
    names += [f"tests.harness.{path.stem}" for path in harness.glob("[!_]*")]
    assert sorted(floors) == sorted(names)


@pytest.mark.parametrize("name", UPWARD)
def test_upward_import_is_red(name: str, tmp_path: Path) -> None:
    """Where the import stands does not matter: one within a function is one too."""
    file, above = UPWARD[name]
    sources = shutil.ignore_patterns("__pycache__", "__snapshots__")
    shutil.copytree(PROJECT / "tests", tmp_path / "tests", ignore=sources)
    shutil.copy(PROJECT / FLOORS, tmp_path)
    path = tmp_path / "tests" / file
    text = path.read_text(encoding="utf-8")
    path.write_text(f"{text}\n\ndef planted() -> None:\n    import {above}\n", encoding="utf-8")
    command = [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    module = f"tests.{file.removesuffix('.py').replace('/', '.')}"
    assert done.returncode == 1, done.stdout
    assert f"{module} -> {above} (l." in done.stdout, done.stdout

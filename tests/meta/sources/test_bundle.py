"""The bundle: the hub's bytes, built once, and whole or not at all."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.harness.data.registry import registry
from tests.harness.errors import AssetError
from tests.harness.files import sha256
from tests.harness.sources.bundle import folder_of, is_intact, move_into_place
from tests.harness.sources.packages import REQUIREMENTS
from tests.meta.conftest import PROJECT
from tests.meta.support.hub_runs import only_folder

COMMAND = [sys.executable, "-m", "tests.tools.fetch"]
HARM: dict[str, Callable[[Path], object]] = {
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:-100]),
    "same_size_tampered": lambda path: path.write_bytes(
        path.read_bytes().replace(b"silu", b"gelu")
    ),
    "file_lost": lambda path: path.unlink(),
    "file_added": lambda path: (path.parent / "chat_template.jinja").write_text("{{ 1 }}"),
}
PUBLISHED = [
    (key, name) for key, m in registry().items() for name, f in m.files.items() if f.published
]


def start(cache: Path, **variables: str) -> subprocess.Popen[str]:
    """Fetch phi3 into a cache of its own."""
    environment = {**os.environ, "MODEL_CONFORMANCE_CACHE": str(cache), **variables}
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    command = [*COMMAND, "phi3"]
    return subprocess.Popen(command, cwd=PROJECT, env=environment, start_new_session=True, **pipes)


def test_all_published_hashes_are_met(bundle: dict[str, Path]) -> None:
    assert len(PUBLISHED) == 14
    for key, name in PUBLISHED:
        assert sha256(bundle[key] / name) == registry()[key].files[name].sha256, (key, name)
        assert (bundle[key] / name).stat().st_size == registry()[key].files[name].bytes


def test_fetch_prints_a_line_a_model_and_nothing_else(bundle: dict[str, Path]) -> None:
    done = subprocess.run(COMMAND, cwd=PROJECT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [f"{key}\t{folder}" for key, folder in bundle.items()]
    assert done.stderr == ""


@pytest.mark.parametrize("harm", HARM.values(), ids=HARM)
def test_harm_in_the_cache_is_noticed(
    harm: Callable[[Path], object],
    tmp_path: Path,
    bundle: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MODEL_CONFORMANCE_CACHE", str(tmp_path))
    model = registry()["phi3"]
    shutil.copytree(bundle["phi3"], folder_of(model))
    assert is_intact(model)
    harm(folder_of(model) / "config.json")
    assert not is_intact(model)


@pytest.mark.slow
def test_killed_build_and_damaged_folder_are_replaced_once_for_two(
    tmp_path: Path, bundle: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One story in one cache, because every build downloads."""
    killed = start(tmp_path)
    while not list(tmp_path.glob("bundle/.build-*/*")):
        time.sleep(0.05)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.communicate()
    assert list(tmp_path.glob("bundle/.build-*"))
    monkeypatch.setenv("MODEL_CONFORMANCE_CACHE", str(tmp_path))
    folder = Path(shutil.copytree(bundle["phi3"], folder_of(registry()["phi3"])))
    vocabulary = folder / "tokenizer.json"
    vocabulary.write_bytes(vocabulary.read_bytes()[:1000])

    two = [start(tmp_path) for _ in range(2)]
    answers = [process.communicate() for process in two]
    assert [process.returncode for process in two] == [0, 0]
    assert answers[0][0] == answers[1][0] == f"phi3\t{folder}\n"
    assert sum("downloading" in stderr for _, stderr in answers) == 1
    assert not list(tmp_path.glob("bundle/.build-*")), "leftovers of the killed build"
    assert is_intact(registry()["phi3"])


def failure(process: subprocess.Popen[str]) -> str:
    """The last line of a run that must fail without printing a folder or a traceback."""
    stdout, stderr = process.communicate()
    assert process.returncode == 2, stderr
    assert stdout == ""
    assert "Traceback" not in stderr
    return stderr.splitlines()[-1]


def test_no_index_is_one_line(tmp_path: Path) -> None:
    line = failure(start(tmp_path / "cache", **only_folder(tmp_path)))
    assert "cannot be downloaded" in line
    assert "--source hub" in line


def test_other_package_than_pinned_is_one_line(tmp_path: Path) -> None:
    pin = re.search(r"^llama-cpp-python==(\S+)", REQUIREMENTS.read_text(), re.MULTILINE)
    assert pin
    (tmp_path / f"llama_cpp_python-{pin[1]}.tar.gz").write_bytes(b"another archive")
    line = failure(start(tmp_path / "cache", **only_folder(tmp_path)))
    assert "not the one pinned in fixtures/bundle-requirements.txt" in line


def test_other_bytes_than_pinned_do_not_move_into_place(
    model_copy: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODEL_CONFORMANCE_CACHE", str(tmp_path / "cache"))
    built = model_copy("phi3")
    config = built / "tokenizer_config.json"
    config.write_bytes(config.read_bytes().replace(b'"legacy": false', b'"legacy": true'))
    with pytest.raises(AssetError, match=r"^phi3: the built tokenizer_config.json has sha256"):
        move_into_place(registry()["phi3"], built)
    assert not folder_of(registry()["phi3"]).exists()


def test_full_disk_is_one_line(small_disk: Path) -> None:
    line = failure(start(small_disk / "cache"))
    assert "No space left" in line
    assert "MODEL_CONFORMANCE_CACHE" in line


def test_cache_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    line = failure(start(tmp_path / "file"))
    assert "the bundle cannot be built" in line

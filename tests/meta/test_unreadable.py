"""Files that cannot be had or read: one line, said once, soon, and red whatever is known."""

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import PROJECT, Run, run_pytest

FILES = "tests/conformance/test_files.py"
KNOWN = """
[planted]
nodes = ["test_*[phi3*"]
package = "transformers"
versions = ">=1"
reason = "planted"
link = "https://example.org/1"
"""


def cut(folder: Path) -> None:
    """Half of a file is missing."""
    path = folder / "tokenizer.json"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


HARM: dict[str, tuple[Callable[[Path], object], str]] = {
    "cut": (cut, "tokenizer.json in "),
    "no_tokenizer": (
        lambda folder: (folder / "tokenizer.json").write_text('{"version": "1.0"}'),
        " cannot read it (",
    ),
    "config_no_json": (
        lambda folder: (folder / "tokenizer_config.json").write_text("{"),
        "tokenizer_config.json in ",
    ),
    "config_no_class": (
        lambda folder: (folder / "tokenizer_config.json").write_text("[1]"),
        " cannot load them (",
    ),
}


def without_index(folder: Path) -> dict[str, str]:
    """Settings under which nothing is cached and no package can be downloaded."""
    pip = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(folder), "PIP_CONFIG_FILE": os.devnull}
    return {"MODEL_CONFORMANCE_CACHE": str(folder / "cache"), **pip}


def check_said_once(run: Run, said: str) -> None:
    """One test says it, on one line; the others are skipped, and not one is excused."""
    assert run.code == 1
    assert re.search(r"^\d+ skipped, 1 error in|^=+ \d+ skipped, 1 error in", run.out, re.MULTILINE)
    lines = [line for line in run.out.splitlines() if line.startswith("phi3: ")]
    assert len(lines) == 1
    assert said in lines[0]
    assert "Traceback" not in run.out


@pytest.mark.parametrize("harm", HARM)
def test_a_file_that_cannot_be_read_is_said_once(
    harm: str, model_copy: Callable[[str], Path]
) -> None:
    damage, said = HARM[harm]
    folder = model_copy("phi3")
    damage(folder)
    run = run_pytest(FILES, "--models", "phi3", "--model-dir", f"phi3={folder}")
    check_said_once(run, said)
    assert run.line("phi3: ").endswith("mend the folder, or leave out --model-dir phi3")
    assert "xfailed" not in run.out


def test_no_known_failure_excuses_it(project: Path, model_copy: Callable[[str], Path]) -> None:
    known = project / "fixtures" / "upstream_issues.toml"
    known.write_text(known.read_text() + KNOWN)
    folder = model_copy("phi3")
    cut(folder)
    options = ("--models", "phi3", "--model-dir", f"phi3={folder}", "--gate")
    run = run_pytest(FILES, *options, cwd=project)
    check_said_once(run, "is no JSON")
    assert "gate: " in run.out
    assert "xfailed" not in run.out


def test_a_model_that_is_only_compared_with_another_is_refused_too(
    model_copy: Callable[[str], Path],
) -> None:
    folder = model_copy("phi3")
    cut(folder)
    node = "tests/conformance/test_published.py"
    run = run_pytest(node, "--models", "qwen2,phi3", "--model-dir", f"phi3={folder}")
    assert run.code == 1
    assert "1 error" in run.out.splitlines()[-1]
    assert " failed" not in run.out.splitlines()[-1]


@pytest.mark.parametrize("place", [(FILES, "phi3"), ("tests/quantized/test_memory.py", "smollm2")])
def test_a_bundle_that_cannot_be_built_is_said_once(place: tuple[str, str], tmp_path: Path) -> None:
    run = run_pytest(place[0], "--models", place[1], cwd=PROJECT, **without_index(tmp_path))
    assert run.code == 1
    assert re.search(r"skipped.* 1 error", run.out.splitlines()[-1])
    said = [line for line in run.out.splitlines() if line.startswith("the bundle's packages")]
    assert len(said) == 1

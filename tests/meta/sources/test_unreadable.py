"""Files that cannot be had or read: one line, reported once, soon, and red whatever is known."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.meta.conftest import Run, run_pytest
from tests.meta.support.hub_runs import only_folder

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


# One model for each way to be unreadable, so that one run shows them all.
HARM: dict[str, tuple[Callable[[Path], object], str]] = {
    "phi3": (cut, "tokenizer.json in "),
    "qwen2": (
        lambda folder: (folder / "tokenizer.json").write_text('{"version": "1.0"}'),
        " cannot be read by tokenizers ",
    ),
    "starcoder2": (
        lambda folder: (folder / "tokenizer_config.json").write_text("{"),
        "tokenizer_config.json in ",
    ),
    "llama3_1": (
        lambda folder: (folder / "tokenizer_config.json").write_text("[1]"),
        "tokenizer_config.json in ",
    ),
}


def check_reported_once(run: Run, reasons: dict[str, str]) -> None:
    """One error a model, on one line with its reason; its other tests are skipped, none excused."""
    assert run.code == 1
    errors = f"{len(reasons)} error{'s' * (len(reasons) > 1)}"
    assert re.search(rf"^(=+ )?\d+ skipped, {errors} in", run.out, re.MULTILINE)
    for key, reason in reasons.items():
        lines = [line for line in run.out.splitlines() if line.startswith(f"{key}: ")]
        assert len(lines) == 1
        assert reason in lines[0]
        assert lines[0].endswith(f"the folder, or leave out --model-dir {key}")
    assert "Traceback" not in run.out
    assert "xfailed" not in run.out


def test_a_file_that_cannot_be_read_is_reported_once(model_copy: Callable[[str], Path]) -> None:
    options = ["--models", ",".join(HARM)]
    for key, (damage, _) in HARM.items():
        folder = model_copy(key)
        damage(folder)
        options += ["--model-dir", f"{key}={folder}"]
    check_reported_once(run_pytest(FILES, *options), {key: row[1] for key, row in HARM.items()})


def test_no_known_failure_excuses_it(project: Path, model_copy: Callable[[str], Path]) -> None:
    known = project / "fixtures" / "upstream_issues.toml"
    known.write_text(known.read_text() + KNOWN)
    folder = model_copy("phi3")
    cut(folder)
    options = ("--models", "phi3", "--model-dir", f"phi3={folder}", "--gate")
    run = run_pytest(FILES, *options, cwd=project)
    check_reported_once(run, {"phi3": "JSON"})
    assert "gate: " in run.out


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


@pytest.mark.parametrize(
    ("file", "key"), [(FILES, "phi3"), ("tests/quantized/test_memory.py", "smollm2")]
)
def test_a_bundle_that_cannot_be_built_is_reported_once(
    file: str, key: str, tmp_path: Path
) -> None:
    cache = str(tmp_path / "cache")
    run = run_pytest(file, "--models", key, MODEL_CONFORMANCE_CACHE=cache, **only_folder(tmp_path))
    assert run.code == 1
    assert re.search(r"skipped.* 1 error", run.out.splitlines()[-1])
    lines = [line for line in run.out.splitlines() if line.startswith("the bundle's packages")]
    assert len(lines) == 1

"""Environments that would make a run prove nothing, or turn it red for another reason."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.meta.conftest import PROJECT, run_anew

RUN = ("tests/conformance/test_prices.py", "--models", "phi3")
# A variable, and the line it is refused with.
REFUSED = {
    "PYTHONOPTIMIZE": "ERROR: assertions are off: unset PYTHONOPTIMIZE",
    "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "ERROR: the plugin syrupy is not loaded: ",
}
NO_UNICODE = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


@pytest.mark.parametrize("name", REFUSED)
def test_what_would_prove_nothing_is_refused(name: str) -> None:
    run = run_anew("pytest", *RUN, cwd=PROJECT, **{name: "1"})
    assert run.code == 4
    assert run.line("ERROR: ").startswith(REFUSED[name])
    assert "Traceback" not in run.out and "passed" not in run.out


def test_a_checkout_that_cannot_be_written_changes_nothing(project: Path) -> None:
    """With the cache's folder in it, too."""
    bound = subprocess.run(
        ["mount", "--bind", str(project), str(project)], capture_output=True, check=False
    )
    if bound.returncode:
        pytest.skip("mounting needs root")
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", str(project)], check=True)
        run = run_anew("pytest", *RUN, cwd=project)
        failing = run_anew("pytest", *RUN, "--model-dir", "phi3=/nowhere", cwd=project)
    finally:
        subprocess.run(["umount", str(project)], check=True)
    assert run.code == 0, run.out
    assert "warning" not in run.out.lower()
    assert failing.code == 4


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({"LC_ALL": "C"}, id="C", marks=pytest.mark.slow),
        pytest.param(NO_UNICODE, id="no UTF-8"),
    ],
)
def test_a_path_that_is_no_ascii_works_or_is_named(
    settings: dict[str, str], bundle: dict[str, Path], tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(bundle["phi3"], tmp_path / "caf\u00e9"))
    run = run_anew("pytest", *RUN, "--model-dir", f"phi3={folder}", cwd=PROJECT, **settings)
    if settings == NO_UNICODE:
        assert run.code == 1
        assert run.line("phi3: ").endswith("rename the folder, or run under LC_ALL=C.UTF-8")
    else:
        assert run.code == 0, run.out
    assert "Traceback" not in run.out


@pytest.mark.parametrize("tool", ["doctor", "explore"])
def test_a_reader_who_leaves_early_sees_no_traceback(tool: str) -> None:
    command = [sys.executable, "-m", f"tests.tools.{tool}"]
    command += ["python", "disk"] if tool == "doctor" else ["--models", "phi3"]
    with subprocess.Popen(
        command, cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        errors = process.stderr.read()
    assert (process.returncode, errors) == (141, "")

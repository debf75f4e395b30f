"""`--report-dir` in runs that stop early, judge nothing or cannot write: the report shows it."""

from pathlib import Path

import pytest

from tests.harness.reports.page import page
from tests.meta.conftest import run_pytest
from tests.meta.support.html_reader import read
from tests.meta.support.small_project import FIRST, LAST, MODES, QUICK_MODES, plant

from .test_report import FILES, reported

# A process that a shell started in the background ignores the signal: undo that first.
HEED = "import signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"
CTRL_C = """
import os, signal, time
def test_plant():
    worker = "PYTEST_XDIST_WORKER" in os.environ
    os.kill(os.getppid() if worker else os.getpid(), signal.SIGINT)
    time.sleep(60)
"""

# tests/meta/plugins interrupts a distributed run in the quick tests.


@pytest.mark.parametrize("mode", QUICK_MODES)
def test_interrupted_run_says_what_ran(small: Path, mode: str) -> None:
    plant(small, "conftest.py", HEED)
    plant(small, FIRST, "def test_first(): pass\n" + CTRL_C)
    run, data = reported(small, *MODES[mode])
    assert run.code == 2 and "Traceback" not in run.out
    ran = sum(data["counts"].values())
    assert data["verdict"] == "red" and ran == data["counts"]["passed"] < data["selected"]
    assert data["stopped"] == f"interrupted; {ran} of {data['selected']} tests ran"
    assert f"Not complete: {data['stopped']}." in read(page(data)).text


@pytest.mark.parametrize("mode", QUICK_MODES)
def test_stop_at_a_failure_is_reported(small: Path, mode: str) -> None:
    plant(small, FIRST, "def test_plant(): assert False\n")
    _, data = reported(small, "-x", *MODES[mode])
    ran = sum(data["counts"].values())
    assert data["verdict"] == "red" and ran < data["selected"]
    assert data["stopped"] == f"stopping after 1 failures; {ran} of {data['selected']} tests ran"


@pytest.mark.parametrize("mode", QUICK_MODES)
def test_collection_error_is_a_failure(small: Path, mode: str) -> None:
    plant(small, LAST, "import no_such\n")
    _, data = reported(small, *MODES[mode])
    assert (data["verdict"], data["stopped"]) == ("red", "1 file could not be collected")
    assert [failure["node"] for failure in data["failures"]] == [LAST]


def test_broken_teardown_does_not_hide_the_failure(small: Path) -> None:
    broken = "@pytest.fixture\ndef broken():\n    yield\n    raise OSError('consequence')\n"
    test = "def test_plant(broken): pytest.fail('the failure')\n"
    plant(small, FIRST, f"import pytest\n{broken}{test}")
    run, data = reported(small)
    assert "consequence" in run.out
    (failure,) = data["failures"]
    assert (failure["outcome"], failure["first_line"]) == ("failed", "the failure")


def test_nothing_ran_is_not_green(small: Path) -> None:
    assert reported(small, "-k", "no_such_test")[1]["verdict"] == "nothing ran"
    plant(small, FIRST, "import pytest\ndef test_skip(): pytest.skip('planted')\n")
    run, data = reported(small, FIRST)
    assert (run.code, data["verdict"]) == (0, "nothing ran")


def test_old_report_is_replaced_whole(small: Path) -> None:
    folder = small / "out" / "report"
    folder.mkdir(parents=True)
    for name in (*FILES, ".report.json.1"):
        (folder / name).write_text("old" * 100_000)
    _, data = reported(small)
    assert data["verdict"] == "green"


def test_unwritable_folder_is_refused_before_anything_is_collected(small: Path) -> None:
    (small / "file").write_text("")
    run = run_pytest("--report-dir", "file/report", cwd=small)
    assert run.code == 4
    line = f"ERROR: --report-dir {small}/file/report: cannot write there: Not a directory"
    assert run.out.strip() == line


def test_folder_lost_during_the_run_is_red(small: Path) -> None:
    folder = small / "report"
    lose = f"shutil.rmtree({str(folder)!r}); pathlib.Path({str(folder)!r}).write_text('')"
    plant(small, LAST, f"import pathlib, shutil\ndef test_plant(): {lose}\n")
    run = run_pytest("--report-dir", str(folder), LAST, cwd=small)
    assert run.code == 1
    assert run.line("not written") == f"--report-dir {folder}: not written: Not a directory"
    assert "INTERNALERROR" not in run.out and "\nreport: " not in run.out


def test_secrets_are_hidden_in_both_files(small: Path) -> None:
    """In what a test says, and in the command, which no test's report holds."""
    token = "hf_" + 10 * "aB3"
    plant(small, FIRST, f"import pytest\ndef test_plant(): pytest.fail('a {token} b')\n")
    _, data = reported(small, FIRST, "-k", f"test_plant or {token}")
    assert [failure["first_line"] for failure in data["failures"]] == ["a (hidden) b"]
    assert "'test_plant or (hidden)'" in data["command"]
    for name in FILES:
        assert token not in (small / "out" / "report" / name).read_text(encoding="utf-8")

"""A run in a fork is as one that a shell starts."""

from pathlib import Path

from tests.meta.conftest import run_anew, run_pytest
from tests.meta.support.warm_runs import WITHOUT_TORCH, run_warm

FACTS = """
import os, signal, sys, threading

def test_facts():
    print("FACTS", sys.argv[1:], sys.path[:3], os.getcwd(), sorted(os.environ.items()))
    print("FACTS", sorted(name for name in sys.modules if name.startswith(("tests", "conftest"))))
    print("FACTS", sys.modules["__main__"].__name__, sys.modules["__main__"].__spec__.name)
    print("FACTS", threading.active_count(), os.isatty(0), os.get_inheritable(1))
    print("FACTS", signal.getsignal(signal.SIGTERM), sys.flags, sys.dont_write_bytecode)
    assert not "a failure"
"""


def test_a_fork_has_what_a_new_process_has(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(WITHOUT_TORCH)
    (tmp_path / "test_facts.py").write_text(FACTS)
    given = ("-p", "no:cacheprovider", "-q")
    added = {"PLANTED": "1", "PYTHONPATH": str(tmp_path / "more")}
    forked = run_pytest("-q", cwd=tmp_path, **added)
    anew = run_anew("pytest", *given, cwd=tmp_path, **added)
    facts = [[line for line in run.out.splitlines() if "FACTS" in line] for run in (forked, anew)]
    assert facts[0] == facts[1]
    assert len(facts[0]) >= 5 and (forked.code, anew.code) == (1, 1)


def test_what_the_libraries_read_when_imported_needs_a_new_process(tmp_path: Path) -> None:
    assert run_warm([], tmp_path, {"HF_ENDPOINT": "https://example.org"}) is None

"""A project of phi3 and three topics to do harm to, whose complete run takes seconds."""

import hashlib
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from tests.harness.snapshots.file import Blocks, format_snapshot_file, read_snapshot_file
from tests.meta.conftest import Run, run_pytest
from tests.meta.support.warm_runs import WITHOUT_TORCH

CONFORMANCE = "tests/conformance"
LEDGER = "fixtures/evidence.toml"
SNAPSHOTS = f"{CONFORMANCE}/__snapshots__"
IDS, PROMPTS = "phi3.ids.txt", "phi3.prompts.txt"
CASE = "plain.task_sentence"
NODE = f"{CONFORMANCE}/test_snapshots.py::test_ids_snapshot[phi3-{CASE}]"
TOKENS = f"{CONFORMANCE}/test_tokens.py"
FIRST, LAST = f"{CONFORMANCE}/test_a_plant.py", f"{CONFORMANCE}/test_z_plant.py"
TOPICS = ("plain", "special_tokens", "task")  # of texts and conversations, in a small project
LARGE = ("test_labels.py", "test_settings.py", "test_use.py", "test_ways.py")
KNOWN = f"""
[planted]
nodes = ["test_ids_snapshot[phi3-{CASE}]"]
package = "transformers"
versions = ">=1"
reason = "planted"
link = "https://example.org/1"
"""
TROUBLE = """
import pytest

@pytest.fixture
def bad():
    raise RuntimeError

@pytest.mark.parametrize("number", [1, 2])
def test_skip(tokenizer, number):
    pytest.skip("planted reason")

def test_error(tokenizer, bad):
    pass
"""
_COUNTED: list[str] = []  # the ledger of a small project, once it is known
MODES = {"alone": (), "distributed": ("-n", "2")}
QUICK_MODES = ["alone", pytest.param("distributed", marks=pytest.mark.slow)]


def shrink(project: Path) -> Path:
    """Cut a project down to phi3, three topics and no torch: a complete run takes seconds."""
    for folder in ("quantized", "serving", "benchmarks"):
        shutil.rmtree(project / "tests" / folder, ignore_errors=True)
    (project / "fixtures" / "engines.toml").write_text("", encoding="utf-8")
    for name in LARGE:
        (project / CONFORMANCE / name).unlink(missing_ok=True)
    tests = "".join(path.read_text("utf-8") for path in project.glob(f"{CONFORMANCE}/test_*.py"))
    conftest, fixtures = project / "conftest.py", project / "fixtures"
    conftest.write_text(WITHOUT_TORCH + conftest.read_text())
    kept_tables = {"models.toml": "[phi3]\n", "adapters.toml": "[phi3]\n"}
    for name, kept in (kept_tables | {"upstream_issues.toml": "[*-"}).items():
        tables = re.split(r"\n(?=\[\w+\]\n)", (fixtures / name).read_text(encoding="utf-8"))
        wanted = "\n".join(
            table
            for table in tables
            if kept in table
            and all(f"def {test}(" in tests for test in re.findall(r'"(test_\w+)\[', table))
        )
        (fixtures / name).write_text(wanted, encoding="utf-8")
    (fixtures / "published.json").write_text("[]")
    shutil.rmtree(fixtures / "exceptions", ignore_errors=True)  # of models that are gone
    for path in [*fixtures.glob("texts/*"), *fixtures.glob("conversations/*")]:
        if path.stem not in TOPICS:
            path.unlink()
    for path in (project / SNAPSHOTS).iterdir():
        if path.name not in (IDS, PROMPTS):
            path.unlink()
            continue
        blocks = read_snapshot_file(path).blocks
        edit(path, {name: rows for name, rows in blocks.items() if name.startswith(TOPICS)})
    if not _COUNTED:
        _COUNTED.append(count_again(project))
    (project / LEDGER).write_text(_COUNTED[0], encoding="utf-8")
    return project


def count_again(project: Path) -> str:
    """Renew a project's ledger after a change that is meant; its text."""
    run = run_pytest("--evidence-update", "-q", cwd=project)
    assert run.code in (0, 5), run.out
    return (project / LEDGER).read_text(encoding="utf-8")


@pytest.fixture
def small(project: Path) -> Path:
    """A small copy to do harm to."""
    return shrink(project)


def edit(path: Path, blocks: Blocks) -> None:
    """Put these blocks in place of a recording's."""
    text = format_snapshot_file(path, replace(read_snapshot_file(path), blocks=blocks))
    path.write_bytes(text.encode())


def state(project: Path) -> dict[str, str]:
    """The hash of every file in the folder of recordings, hidden and stray ones too."""
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in (project / SNAPSHOTS).iterdir()
    }


def change(project: Path, name: str = IDS, case: str = CASE) -> None:
    """Change one recorded block, so that there is something to update."""
    path = project / SNAPSHOTS / name
    blocks = read_snapshot_file(path).blocks
    edit(path, {**blocks, case: blocks[case].rpartition("\n")[0]})


def plant(project: Path, file: str, text: str) -> None:
    """Put text in front of a file, which may be new."""
    path = project / file
    path.write_text(text + (path.read_text() if path.exists() else ""))


def update(project: Path, *options: str, **environment: str) -> Run:
    """Run the small project's whole suite with --snapshot-update; a planted plugin is loaded."""
    plugins = ("-p", "planted") if (project / "planted.py").exists() else ()
    return run_pytest("--snapshot-update", *plugins, *options, cwd=project, **environment)

"""A model of a repository: fetched with the real client from a hub on the loopback, and pinned."""

import shutil
import tomllib
from pathlib import Path

import pytest

from tests.meta.conftest import Run, run_anew, run_pytest
from tests.meta.support.hub_runs import CANARY, file_requests
from tests.meta.support.hub_server import COMMIT, Seen, serve
from tests.meta.support.small_project import shrink

from .folders import FAMILIES, make

NAME = "me/my-model"
HUB = ("--source", "hub")


def drafted(home: Path, endpoint: str, *arguments: str, cwd: Path) -> Run:
    """Run the command with a cache and a login of its own."""
    settings = {"HF_HOME": str(home), "HF_ENDPOINT": endpoint, "HF_TOKEN": CANARY}
    given = {"HF_HUB_OFFLINE": "0", "HF_HUB_ETAG_TIMEOUT": "1"}
    return run_anew("tests.tools.new_model", *arguments, cwd=cwd, **settings, **given)


def test_a_repository_is_drafted_at_the_commit_that_was_fetched(
    tmp_path: Path, project: Path
) -> None:
    folder, home, seen = (
        make(tmp_path / "mine", FAMILIES["thinking"]),
        tmp_path / "hf",
        list[Seen](),
    )
    shrink(project)
    with serve({NAME: folder}, {}, seen) as endpoint:
        run = drafted(home, endpoint, "mine", NAME, *HUB, "--write", cwd=project)
        assert run.code == 0, run.out[-3000:]
        assert CANARY not in run.out
        # What is fetched first says which commit main is; all else is of that commit.
        revisions = [request.path.split("/resolve/")[1] for request in file_requests(seen)]
        moved = [path for path in revisions if path.startswith("main/")]
        assert {path.partition("/")[2] for path in moved} == {"tokenizer.json"}
        assert {path.partition("/")[0] for path in revisions} == {"main", COMMIT}
        table = tomllib.loads((project / "fixtures" / "models.toml").read_text("utf-8"))["mine"]
        assert (table["hub_id"], table["revision"]) == (NAME, COMMIT)
        assert all(file["published"] for file in table["files"].values())
        next_ = run.line("next: pytest ")
        assert next_.endswith("--models mine --snapshot-update --source hub")
        again = {"HF_HOME": str(home), "HF_ENDPOINT": endpoint, "HF_HUB_OFFLINE": "0"}
        files = "tests/conformance/test_files.py"
        held = run_pytest(files, "--models", "mine", *HUB, "-q", cwd=project, **again)
        assert held.code == 0, held.out[-3000:]
        for path in folder.iterdir():  # the hub's files are others now, at the same commit
            path.write_bytes(path.read_bytes() + b"\n")
        shutil.rmtree(home)
        run = run_pytest(files, "--models", "mine", *HUB, "-q", cwd=project, **again)
        assert run.line("mine (me/my-model): ").count("has sha256") == 1


def lost(name: str) -> str:
    """What is said where a repository lacks a file."""
    return f"{NAME}: there is no {name} at main; give a folder in place of it"


# A repository's fault, or the file that is lost -> the one line, behind progress.
FAULTS = {
    "gated": f"{NAME}: access is gated; ask for it at https://huggingface.co/{NAME}, then run ",
    "private": f"{NAME}: login refused (HTTP 401): the token is missing or wrong, or the ",
    "no_revision": f"{NAME}: tokenizer.json: 404 ",
    "portal": f"{NAME}: tokenizer.json: Response from http://127.0.0.1:",
    "silent": f"{NAME}: no answer from 127.0.0.1, or the connection was cut (",
    "tokenizer.json": lost("tokenizer.json"),
    "config.json": "there is no config.json",
}


QUICK = ("gated", "tokenizer.json")  # each of the others starts the libraries for one line more
NAMED = [pytest.param(name, marks=[] if name in QUICK else [pytest.mark.slow]) for name in FAULTS]


@pytest.mark.parametrize("fault", NAMED)
def test_what_cannot_be_fetched_is_one_line(tmp_path: Path, project: Path, fault: str) -> None:
    folder = make(tmp_path / "mine", FAMILIES["headings"])
    if fault.endswith(".json"):
        (folder / fault).unlink()
    faults = {} if fault.endswith(".json") else {NAME: fault}
    with serve({NAME: folder}, faults) as endpoint:
        run = drafted(tmp_path / "hf", endpoint, "mine", NAME, *HUB, cwd=project)
    assert run.code == 2, run.out
    progress, line = run.out.splitlines()
    assert progress == f"fetching {NAME} at main from the hub, or its cache"
    assert FAULTS[fault] in line
    assert CANARY not in run.out


def test_a_name_that_is_no_repository_is_refused(project: Path) -> None:
    run = drafted(Path("/nowhere"), "http://127.0.0.1:9", "mine", "my folder", *HUB, cwd=project)
    assert (run.code, run.out.count("\n")) == (2, 1)
    assert run.line("--source hub 'my folder': write ORG/NAME, as the page's address has it")

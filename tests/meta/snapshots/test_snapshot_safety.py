"""Recordings survive every unclean run: only a whole, sound one may write or remove them."""

import json
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.harness.errors import DataError
from tests.harness.files import write_atomically
from tests.harness.snapshots.file import (
    NO_ROWS,
    SnapshotFile,
    format_snapshot_file,
    read_snapshot_file,
)
from tests.harness.text import quote
from tests.meta.conftest import run_pytest
from tests.meta.support.small_project import (
    CASE,
    CONFORMANCE,
    FIRST,
    IDS,
    LAST,
    NODE,
    PROMPTS,
    SNAPSHOTS,
    TOKENS,
    change,
    edit,
    plant,
    small,
    state,
    update,
)

__all__ = ["small"]  # a fixture


NARROWED = "phi3.ids.txt: 1 snapshots NOT saved, the old ones are kept: not all its tests"
FAILED = "the old ones are kept: 1 of its tests failed, first test_"


@dataclass(frozen=True)
class Unclean:
    """A run that must not write: what its output says, options, plant and exit code.

    The plant is text put in front of a file, by default a new module whose tests run when all
    others have passed: the hardest time to refuse. `planted.py` is loaded as a plugin.
    """

    says: str
    options: tuple[str, ...] = ()
    plant: str = ""
    file: str = LAST
    code: int = 1
    ci: str = ""


UNCLEAN = {
    "snapshot_test_fails_before_its_check": Unclean(
        f"{FAILED}ids_snapshot[phi3-plain.empty]",
        plant="def pytest_runtest_call(item):\n"
        "    assert item.name != 'test_ids_snapshot[phi3-plain.empty]'\n",
        file="planted.py",
    ),
    "first_failure_stops": Unclean(
        "stopping after 1 failures",
        options=("-x",),
        plant="def test_plant(tokenizer): assert False\n",
        file=FIRST,
    ),
    "fixture_error": Unclean(
        f"{FAILED}plant[phi3]",
        plant="import pytest\n@pytest.fixture\ndef bad(): raise RuntimeError\n"
        "def test_plant(tokenizer, bad): pass\n",
    ),
    "contract_skips": Unclean(
        "tests did not run",
        plant="import pytest\ndef test_plant(tokenizer): pytest.skip('planted')\n",
    ),
    "module_skips": Unclean(
        NARROWED, plant="import pytest\npytest.importorskip('no_such')\n", file=TOKENS
    ),
    "ctrl_c": Unclean(
        "the old ones are kept: the run was interrupted",
        # A process that a shell started in the background ignores the signal: undo that first.
        plant="import os, signal\ndef test_plant():\n"
        "    signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n",
        code=2,
    ),
    "kill_9": Unclean(
        "test_tokens.py",
        plant="import os, signal\ndef test_plant(): os.kill(os.getpid(), signal.SIGKILL)\n",
        code=-9,
    ),
    "collection_error": Unclean("1 error during", plant="import no_such\n", code=2),
    "collection_error_is_passed_over": Unclean(
        NARROWED,
        options=("--continue-on-collection-errors",),
        plant="import no_such\n",
        file=TOKENS,
    ),
    "only_collected": Unclean("tests collected in", options=("--collect-only",), code=0),
    "only_set_up": Unclean("no tests ran", options=("--setup-only",), code=0),
    "keyword": Unclean(NARROWED, options=("-k", "snapshot")),
    "one_node": Unclean(NARROWED, options=(NODE,)),
    "plugin_takes_tests_away": Unclean(
        NARROWED,
        plant="def pytest_collection_modifyitems(config, items):\n"
        "    config.hook.pytest_deselected(items=[items.pop()])\n",
        file="planted.py",
    ),
    "another_root": Unclean(
        f"{FAILED}plant[phi3]",
        options=(CONFORMANCE, "--rootdir", CONFORMANCE),
        plant="def test_plant(tokenizer): assert False\n",
    ),
    "distributed": Unclean("ERROR: --snapshot-update cannot run distributed", ("-n", "2"), code=4),
    "in_ci": Unclean("ERROR: --snapshot-update is refused when CI is set", code=4, ci="1"),
    "disk_is_full": Unclean(
        "phi3.ids.txt: not saved, the old file is kept: File too large",
        plant="import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (2048, 2048))\n",
        file="planted.py",
    ),
}
HARD_TO_SEE = {
    "crlf": ("a\r\nb", "a\nb"),
    "escaped_newline": ("a\nb", "a\\nb"),
    "line_separator": ("a\u2028b", "a\nb"),
    "no_break_space": ("a\u00a0b", "a b"),
    "zero_width_space": ("a\u200bb", "ab"),
    "soft_hyphen": ("a\u00adb", "ab"),
    "composed": ("\u00e9", "e\u0301"),
    "cyrillic": ("\u0430", "a"),
    "trailing_space": ("a ", "a"),
    "quote": ("'", "\\'"),
    "lone_byte": ("\udce9", "\u00e9"),
}
UNREADABLE: dict[str, Callable[[bytes], bytes]] = {
    "crlf_in_one_row": lambda text: text.replace(b"1 'a'\n", b"1 'a'\r\n"),
    "byte_order_mark": lambda text: b"\xef\xbb\xbf" + text,
    "another_encoding": lambda text: text.decode().encode("utf-16"),
    "cut_off": lambda text: text[:-1],
    "block_twice": lambda text: text + b"\n[plain.a]\n1 'a'\n",
    "blank_line_in_a_block": lambda text: text.replace(b"1 'a'\n", b"1 'a'\n\n"),
    "emptied": lambda text: b"",
}


def test_clean_update_rewrites_the_changed_block_alone(small: Path) -> None:
    """One that no case uses stays, and is named; what a killed update left is no recording."""
    path = small / SNAPSHOTS / IDS
    edit(path, {**read_snapshot_file(path).blocks, "plain.gone": "1 'a'"})
    path.with_name(f".{PROMPTS}.killed").write_bytes(path.read_bytes())
    blocks, before = read_snapshot_file(path).blocks, state(small)
    change(small)
    assert state(small) != before
    run = update(small)
    assert run.code == 0, run.out
    assert run.line("unused snapshots") == f"unused snapshots: {IDS}: plain.gone"
    assert read_snapshot_file(path).blocks == blocks
    assert {**state(small), IDS: ""} == {**before, IDS: ""}


@pytest.mark.parametrize("name", UNCLEAN)
def test_unclean_update_leaves_every_recording(small: Path, name: str) -> None:
    unclean = UNCLEAN[name]
    change(small)
    if unclean.plant:
        plant(small, unclean.file, unclean.plant)
    before = state(small)
    run = update(small, *unclean.options, **{"CI": unclean.ci} if unclean.ci else {})
    assert state(small) == before
    run.line(unclean.says)
    assert run.code == unclean.code, run.out[-2000:]
    assert "INTERNALERROR" not in run.out


def test_kill_while_writing_leaves_the_old_file(small: Path) -> None:
    change(small)
    before = state(small)
    plant(small, "planted.py", "import os\nos.fsync = lambda stream: os.kill(os.getpid(), 9)\n")
    assert update(small).code == -9
    assert before.items() < state(small).items(), "nothing was being written"
    write_atomically(small / SNAPSHOTS / IDS, "the next writing removes what the killed one left")
    assert state(small).keys() == before.keys()


def test_update_of_new_ones_adds_the_missing(small: Path) -> None:
    path = small / SNAPSHOTS / IDS
    blocks = read_snapshot_file(path).blocks
    edit(path, {name: rows for name, rows in blocks.items() if name != "plain.empty"})
    assert run_pytest("--snapshot-update-new-only", cwd=small).code == 0
    assert read_snapshot_file(path).blocks == blocks


def test_broken_contract_is_not_recorded(small: Path, model_copy: Callable[[str], Path]) -> None:
    """Without `rstrip` on <|end|> ids change, and so do the flags that the registry declares."""
    folder = model_copy("phi3")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        content = json.loads((folder / name).read_bytes())
        tokens = content.get("added_tokens") or content["added_tokens_decoder"].values()
        for token in tokens:
            token["rstrip"] = token["rstrip"] and token["content"] != "<|end|>"
        (folder / name).write_text(json.dumps(content), encoding="utf-8")
    before = state(small)
    run = update(small, "--model-dir", f"phi3={folder}")
    assert (run.code, state(small)) == (1, before)
    for name in (IDS, PROMPTS):
        assert "NOT saved, the old ones are kept" in run.line(f"{name}: ")
    run.line("first test_files_match_pinned_hashes[phi3]")


@pytest.mark.parametrize("options", [("--models", "phi3"), (TOKENS,)])
def test_narrowed_prune_is_refused(project: Path, options: tuple[str, ...]) -> None:
    run = run_pytest("--snapshot-prune", *options, cwd=project)
    assert run.code == 4
    assert run.line("--snapshot-prune").startswith("ERROR: --snapshot-prune needs a complete run")


@pytest.mark.parametrize(
    ("file", "code"),
    [
        (LAST, "def test_plant(): assert False\n"),
        (f"{CONFORMANCE}/test_snapshots.py", "import pytest\npytest.importorskip('no_such')\n"),
    ],
    ids=["a_test_fails", "recordings_skip"],
)
def test_prune_after_an_unclean_run_removes_nothing(small: Path, file: str, code: str) -> None:
    plant(small, file, code)
    path = small / SNAPSHOTS / IDS
    edit(path, {**read_snapshot_file(path).blocks, "plain.gone": "1 'a'"})
    before = state(small)
    run = run_pytest("--snapshot-prune", CONFORMANCE, cwd=small)
    assert state(small) == before
    assert run.code != 0
    run.line("--snapshot-prune: nothing removed: the run was not green")


@pytest.mark.parametrize("size", ["small", pytest.param("project", marks=pytest.mark.slow)])
def test_prune_removes_the_unused_alone(size: str, request: pytest.FixtureRequest) -> None:
    """A complete run of one model, or of all."""
    project: Path = request.getfixturevalue(size)
    folder, before = project / SNAPSHOTS, state(project)
    content = read_snapshot_file(folder / PROMPTS)
    edit(folder / PROMPTS, {**content.blocks, "task.gone": "'a'"})
    (folder / "gone.ids.txt").write_bytes((folder / IDS).read_bytes())
    run = run_pytest(CONFORMANCE, "--snapshot-prune", cwd=project)
    assert run.code == 0, run.out
    assert state(project) == before


@pytest.mark.parametrize("name", HARD_TO_SEE)
def test_rows_show_what_is_hard_to_see(tmp_path: Path, name: str) -> None:
    """The text and what it is mistaken for are two rows, without a character of no width."""
    rows = [quote(text) for text in HARD_TO_SEE[name]]
    assert rows[0] != rows[1]
    path = tmp_path / IDS
    content = SnapshotFile({}, {"one.case": "\n".join(rows), "two.case": NO_ROWS})
    path.write_bytes(format_snapshot_file(path, content).encode())
    assert read_snapshot_file(path) == content
    kinds = {unicodedata.category(it) for row in rows for it in row if it != " "}
    assert not kinds & {"Cc", "Cf", "Cs", "Zs", "Zl", "Zp", "Mn"}


@pytest.mark.parametrize("name", UNREADABLE)
def test_file_edited_by_hand_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / IDS
    content = SnapshotFile({"transformers": "5"}, {"plain.a": "1 'a'", "plain.b": "1 'a'"})
    text = format_snapshot_file(path, content).encode()
    path.write_bytes(UNREADABLE[name](text))
    assert path.read_bytes() != text
    with pytest.raises(DataError, match=r"^phi3\.ids\.txt: [^\n]*: restore[^\n]*$"):
        read_snapshot_file(path)


HARMED = {
    "last_row_lost": (CASE, "row 14 got 414 'ers', recorded (end)"),
    "rows_for_none": ("plain.empty", "row 0 got (end), recorded 1 'a'"),
    "none_for_rows": ("plain.single_letter", "row 0 got 263 ' a', recorded (no rows)"),
    "block_lost": ("special_tokens.sentence_start", "no ids snapshot is recorded"),
}


def test_harmed_recording_is_named(small: Path) -> None:
    """Each failure says model, case and what is wrong, as does a file nobody can read."""
    path = small / SNAPSHOTS / IDS
    change(small)
    blocks = {**read_snapshot_file(path).blocks, "plain.empty": "1 'a'"}
    blocks["plain.single_letter"] = NO_ROWS
    del blocks[HARMED["block_lost"][0]]
    edit(path, blocks)
    prompts = small / SNAPSHOTS / PROMPTS
    prompts.write_bytes(prompts.read_bytes().replace(b"<|user|>", b"<|user|>\r", 1))
    run = run_pytest(f"{CONFORMANCE}/test_snapshots.py", cwd=small)
    assert run.code == 1
    for case, said in HARMED.values():
        assert said in run.line(f"phi3 {case}: ")
    run.line("phi3 task.joke: snapshot cannot be read: phi3.prompts.txt: not as written: restore")

"""Pruning: what was used longest ago goes, and nothing that is not ours, wherever the cache is."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.harness.sources.cache import (
    RECENT,
    _figures,
    _remove,
    entries,
    mark_used,
    prune,
    unmarked,
)
from tests.tools import doctor

DAY = 24 * 3600


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder."""
    monkeypatch.setenv("MODEL_CONFORMANCE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def entry(cache: Path, name: str, days: float, size: int = 100_000) -> Path:
    """An entry of ours that was used so many days ago."""
    folder = cache / name
    folder.mkdir(parents=True)
    (folder / "data").write_bytes(os.urandom(size))
    mark_used(folder)
    then = time.time() - days * DAY
    os.utime(folder / ".model-conformance", (then, then))
    return folder


def test_oldest_goes_first_until_the_rest_fits(cache: Path) -> None:
    names = ("environments/a-0", "drift/b", "environments/c-0", "drift/d")
    folders = [entry(cache, name, days) for name, days in zip(names, (9, 7, 5, 3), strict=True)]
    assert [one.path for one in entries()] == folders
    total = sum(one.size for one in entries())
    assert 400_000 <= total < 500_000
    assert prune(total) == []
    assert [one.path for one in prune(250_000)] == folders[:2]
    assert [folder.exists() for folder in folders] == [False, False, True, True]
    assert not list(cache.glob("*/.scratch-*")), "nothing is left half removed"
    prune(0)
    assert not any(folder.exists() for folder in folders)


def test_what_may_be_in_use_stays(cache: Path) -> None:
    recent = entry(cache, "environments/new", (RECENT - 60) / DAY)
    old = entry(cache, "environments/old", (RECENT + 60) / DAY)
    prune(0)
    assert recent.exists() and not old.exists()


def test_use_is_what_counts(cache: Path) -> None:
    old = entry(cache, "environments/old", 90)
    mark_used(old)
    assert prune(0) == [] and old.exists()


def test_folder_of_the_user_is_never_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The variable names a folder of theirs, with folders of these very names."""
    theirs = tmp_path / "home"
    for name in ("environments/work-0123456789", "drift/0123456789abcdef", "drift/reports/old"):
        (theirs / name).mkdir(parents=True)
        (theirs / name / "thesis.txt").write_text("mine")
    (theirs / "environments" / "pyvenv.cfg").write_text("")
    monkeypatch.setenv("MODEL_CONFORMANCE_CACHE", str(theirs))
    before = sorted(theirs.rglob("*"))
    assert prune(0) == []
    assert sorted(path for path in theirs.rglob("*") if ".scratch" not in path.name) == before
    assert [path.name for path in unmarked()] == ["work-0123456789", "0123456789abcdef"]


def test_links_are_not_followed(cache: Path, tmp_path: Path) -> None:
    """Neither one that is an entry, nor one in an entry, nor one in place of a kind's folder."""
    theirs = entry(tmp_path, "theirs", 90)
    ours = entry(cache, "environments/lent-0", 90)
    (ours / "torch").symlink_to(theirs)
    (cache / "environments" / "link").symlink_to(theirs)
    (ours / "data").unlink()
    (ours / "data").symlink_to(theirs / "data")
    elsewhere = tmp_path / "elsewhere"
    entry(elsewhere, "one", 90)
    (cache / "drift").symlink_to(elsewhere)
    assert [one.path for one in entries()] == [ours]
    assert [one.path for one in prune(0)] == [ours]
    assert not ours.exists()
    assert (theirs / "data").stat().st_size == 100_000
    assert (cache / "environments" / "link").is_symlink() and (elsewhere / "one" / "data").exists()


def test_mark_that_is_a_link_is_no_mark(cache: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    folder = cache / "environments" / "odd"
    folder.mkdir(parents=True)
    (folder / ".model-conformance").symlink_to(tmp_path / "file")
    assert prune(0) == [] and folder.exists()


def test_missing_cache_has_no_entries(cache: Path) -> None:
    assert (entries(), unmarked(), prune(0)) == ([], [], [])
    assert not cache.exists()


def test_doctor_lists_and_prunes(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old, new = entry(cache, "environments/old", 90), entry(cache, "drift/new", 0)
    (cache / "drift" / "other").mkdir()
    rows = [str(finding) for finding in doctor.check("cache")]
    assert "environments: 1, 0.0 GB" in rows[0]
    assert "1 beside them have no mark of ours and stay, such as other" in rows[2]
    assert doctor.main(["--prune"]) == 0
    assert old.exists(), "ten gigabytes are not reached"
    capsys.readouterr()
    assert doctor.main(["--prune", "0", "--dry-run"]) == 0
    assert capsys.readouterr().out.startswith("due      environments/old: 0.00 GB, used ")
    assert old.exists()
    assert doctor.main(["--prune", "0"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("removed  environments/old: 0.00 GB, used ")
    assert lines[1].startswith("kept     drift/new: ")
    assert lines[2].endswith("drift/other: no mark of ours, or a link")
    assert not old.exists() and new.exists()


def test_too_much_is_a_warning(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry(cache, "environments/old", 1)
    monkeypatch.setattr("tests.harness.sources.cache.LIMIT", 1000)
    (warning,) = [one for one in doctor.check("cache") if one.state == "warning"]
    assert warning.fix.startswith("python -m tests.tools.doctor --prune (")


def test_a_file_that_two_entries_share_counts_with_the_newer(cache: Path) -> None:
    """Removing the older one alone frees nothing of it: the installer links files."""
    old, new = entry(cache, "environments/old", 90), entry(cache, "environments/new", 80)
    alone = [one.size for one in entries()]
    (old / "shared").write_bytes(bytes(500_000))
    os.link(old / "shared", new / "shared")
    assert [one.size for one in entries()] == [
        alone[0],
        alone[1] + (new / "shared").stat().st_blocks * 512,
    ]


def test_entry_that_is_used_while_others_are_counted_stays(cache: Path) -> None:
    """What was listed as old is looked at once more before it goes."""
    old = entry(cache, "environments/old", 90)
    (listed,) = entries()
    mark_used(old)
    assert not _remove(listed) and old.exists()


def test_entry_that_another_process_removed_is_no_error(cache: Path) -> None:
    old = entry(cache, "environments/old", 90)
    (listed,) = entries()
    prune(0)
    assert not old.exists() and not _remove(listed)
    (cache / "drift").mkdir()
    assert _figures(cache / "drift" / "gone") is None


def test_processes_that_prune_at_once_remove_each_entry_once(cache: Path) -> None:
    names = [f"drift/{number}" for number in range(40)]
    folders = [entry(cache, name, 9, 100) for name in names]
    with ThreadPoolExecutor(4) as pool:
        removed = [one.path for part in pool.map(prune, [0] * 4) for one in part]
    assert sorted(removed) == sorted(folders)


def test_entry_that_cannot_be_removed_is_one_line(
    cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    entry(cache, "drift/" + 255 * "n", 9)
    (cache / "drift" / ".scratch.lock").mkdir()  # so that nobody can put anything beside it
    assert doctor.main(["--prune", "0"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "cannot be removed: Is a directory" in line


def test_odd_names_are_one_line_and_nothing_to_do_is_said(
    cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (cache / "drift" / "x\nremoved  y").mkdir(parents=True)
    assert doctor.main(["--prune"]) == 0
    left, nothing = capsys.readouterr().out.splitlines()
    assert left.startswith("left     ") and r"x\nremoved  y: no mark" in left
    assert nothing == f"nothing to remove in {cache}"


WRONG = [
    *(["--prune", each] for each in ("-1", "x", "inf", "nan")),
    ["disk", "--prune", "1"],
    ["--dry-run"],
]


@pytest.mark.parametrize("wrong", WRONG)
def test_wrong_prune_is_one_line(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        doctor.main(wrong)
    assert "--prune" in capsys.readouterr().err.splitlines()[-1]

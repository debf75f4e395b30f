"""The ledger: it is what the tests make it, and whatever shrinks under them is one line."""

import json
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.harness.data.registry import registry
from tests.harness.errors import DataError
from tests.harness.gate.differences import difference_lines
from tests.harness.gate.ledger import LEDGER, format_ledger, key_of, read_ledger
from tests.harness.plugins.collection import Cell
from tests.meta.conftest import run_pytest
from tests.meta.support.small_project import CONFORMANCE, TOKENS, count_again, small

__all__ = ["small"]  # a fixture

Change = Callable[[str], str]


def without_case(case: str) -> Change:
    """Take a case out of a topic."""

    def change(text: str) -> str:
        content = json.loads(text)
        kept = [row for row in content["cases"] if row["id"] != case]
        assert len(kept) == len(content["cases"]) - 1
        return json.dumps(content | {"cases": kept})

    return change


def replaced(old: str, new: str) -> Change:
    """Replace what is there once."""

    def change(text: str) -> str:
        assert text.count(old) == 1, text.count(old)
        return text.replace(old, new)

    return change


# What shrinks: the file, its change (none: it is removed), and how the one line about it begins.
SHRUNK: dict[str, tuple[str, Change | None, str]] = {
    "test": (
        TOKENS,
        replaced("def test_bos_matches_registry", "def check_bos_matches_registry"),
        f"{TOKENS}::test_bos_matches_registry is gone: 0, fixtures/evidence.toml says ",
    ),
    "file": (
        f"{CONFORMANCE}/test_chat.py",
        None,
        f"{CONFORMANCE}/test_chat.py is gone: 0, fixtures/evidence.toml says ",
    ),
    "case": (
        "fixtures/texts/special_tokens.json",
        without_case("double_bos"),
        "texts/special_tokens has fewer checks: 120, fixtures/evidence.toml says 126 (6 contr",
    ),
    "conversation": (
        "fixtures/conversations/task.json",
        without_case("joke"),
        "conversations/task has fewer checks: ",
    ),
    "topic": (
        "fixtures/texts/special_tokens.json",
        None,
        "texts/special_tokens is gone: 0, fixtures/evidence.toml says 126 (6 contracts, ",
    ),
    "capability": (
        "fixtures/models.toml",
        lambda text: re.sub(r'"system"(, )?', "", text),
        "model phi3 has fewer checks: 0, fixtures/evidence.toml says 25 (7 contracts, 1 model, 1 t",
    ),
    "parametrization": (
        f"{CONFORMANCE}/test_files.py",
        replaced('"name", ["bos", "eos", "pad", "unk"]', '"name", []'),
        f"{CONFORMANCE}/test_files.py::test_special_id_matches_registry is gone: 0, ",
    ),
    "part_of_a_parametrization": (
        f"{CONFORMANCE}/test_files.py",
        replaced('"name", ["bos", "eos", "pad", "unk"]', '"name", ["bos"]'),
        f"{CONFORMANCE}/test_files.py::test_special_id_matches_registry has fewer checks: 1, ",
    ),
    "argument": (
        "tests/harness/plugins/parametrize.py",
        replaced('"text": lambda tokenizer, _: list(texts().values())', '"text": lambda *_: []'),
        "all of kind 'text' is gone: 0, ",
    ),
    "module_switched_off": (
        TOKENS,
        lambda text: f"{text}\n__test__ = False\n",
        f"{TOKENS} is gone: 0, ",
    ),
}


def ledger_lines(out: str) -> list[str]:
    return [line.removeprefix("gate: ") for line in out.splitlines() if "evidence.toml" in line]


@pytest.mark.parametrize("name", SHRUNK)
def test_what_shrinks_is_one_line(small: Path, name: str) -> None:
    """Whatever is derived shrinks with it: the run has no failure of its own."""
    file, change, line = SHRUNK[name]
    path = small / file
    if change is None:
        path.unlink()
    else:
        path.write_text(change(path.read_text(encoding="utf-8")), encoding="utf-8")
    run = run_pytest("--gate", "-m", "not gpu", "--models", "phi3", cwd=small)
    assert run.code == 1, run.out[-2000:]
    (only,) = ledger_lines(run.out)
    assert only.startswith(line)
    assert only.endswith("; if intended: pytest --evidence-update")
    assert " failed" not in run.out.splitlines()[-1]


def test_it_is_red_until_it_is_renewed(small: Path) -> None:
    """More checks than were reviewed are red as well, and the diff of what is meant is small."""
    before = (small / "fixtures/evidence.toml").read_text()
    (small / CONFORMANCE / "test_new.py").write_text(
        "import pytest\n@pytest.mark.gpu\ndef test_gpu(tokenizer): pass\n"
        "def test_new(tokenizer): pass\n"
    )
    run = run_pytest("--gate", "-m", "not gpu", cwd=small)
    assert run.code == 1
    line = f"{CONFORMANCE}/test_new.py is new: 2, fixtures/evidence.toml says 0 (2 contracts, "
    assert ledger_lines(run.out)[0].startswith(line)
    after = count_again(small)
    assert set(after.splitlines()) - set(before.splitlines()) == {
        "[subjects.gpu_files]",
        'models = ["phi3-cuda"]',
        "[conformance.test_new]",
        "test_gpu = { gpu_files = 1 }",
        "test_new = { files = 1 }",
    }
    assert run_pytest("--gate", "-m", "not gpu", cwd=small).code == 0


def test_it_is_that_of_the_project(project: Path) -> None:
    """What the project's own tests are counted as; no option and no machine changes it."""
    before = LEDGER.read_text(encoding="utf-8")
    assert count_again(project) == before, "run pytest --evidence-update, and review its diff"
    models = {key_of(cell.model) for cell in read_ledger()}
    assert models == set(registry()), "a model of which nothing is checked"


def test_its_numbers_are_the_matrix(small: Path, tmp_path: Path) -> None:
    run = run_pytest("--gate", f"--report-dir={tmp_path}", cwd=small)
    assert run.code == 0, run.out
    report = json.loads((tmp_path / "report.json").read_bytes())
    (_, *areas), (_, *numbers) = report["matrix"]
    cells = read_ledger(small / "fixtures/evidence.toml")
    counted = Counter[str]()
    for cell, number in cells.items():
        counted[cell.file.removeprefix("conformance/test_").removesuffix(".py")] += number
    assert dict(zip(areas, map(int, numbers), strict=True)) == counted
    total = f"{counted.total():,}"
    assert report["scope"] == f"gate: conformance on cpu, 1 model: {total} of {total} checks"


@pytest.mark.parametrize(
    "options",
    [
        ("--models", "phi3"),
        (TOKENS,),
        ("--ignore", TOKENS),
        ("-n", "2"),
        ("--source", "hub"),
        ("--weights", "dummy"),
    ],
    ids=" ".join,
)
def test_only_everything_is_counted(options: tuple[str, ...]) -> None:
    run = run_pytest("--evidence-update", *options)
    assert run.code == 4
    assert run.line("--evidence-update").startswith("ERROR: --evidence-update")


def test_nothing_is_counted_where_a_module_is_broken(small: Path) -> None:
    before = (small / "fixtures/evidence.toml").read_text()
    (small / TOKENS).write_text("import no_such\n")
    run = run_pytest("--evidence-update", cwd=small)
    assert run.code == 1
    assert run.line("nothing written: not every test file could be collected")
    assert (small / "fixtures/evidence.toml").read_text() == before


@pytest.mark.parametrize(
    "text", ["", "[", "[subjects]\nx = 1", "[subjects]\n[a.b]\nc = { d = 1 }", "[subjects.text]\n"]
)
def test_unreadable_ledger_is_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "fixtures" / "evidence.toml"
    path.parent.mkdir()
    path.write_text(text)
    with pytest.raises(DataError, match=r"^fixtures/evidence\.toml: [^\n]+$"):
        read_ledger(path)


def test_lost_ledger_is_red(small: Path) -> None:
    (small / "fixtures/evidence.toml").unlink()
    run = run_pytest("--gate", cwd=small)
    assert run.code == 1
    assert run.line("gate: fixtures/evidence.toml: ")


def test_what_is_written_is_read(tmp_path: Path) -> None:
    """Also numbers that no table of subjects explains."""
    cells = read_ledger() + Counter(
        {
            Cell("conformance/test_odd.py", "test_odd", "phi3", "text", "texts/code"): 3,
            Cell("conformance/test_odd.py", "test_odd", "qwen2", "text", "texts/odd"): 2,
            Cell("conformance/test_odd.py", "test_none", "", "no_model", ""): 7,
            Cell("quantized/test_odd.py", "test_odd", "smollm2-cpu", "text", "texts/code"): 4,
        }
    )
    path = tmp_path / LEDGER.name
    path.write_text(format_ledger(cells), encoding="utf-8")
    assert read_ledger(path) == cells


def test_two_causes_are_two_lines() -> None:
    """And a model that is gone is one, though others were compared with it."""
    cells = read_ledger()
    contract, topic = "test_bos_matches_registry", "texts/digits"
    left = {c: n for c, n in cells.items() if contract != c.contract and topic != c.topic}
    lines = difference_lines(cells, left)
    assert [line.partition(" is ")[0] for line in lines] == [f"{TOKENS}::{contract}", topic]
    assert difference_lines(cells, cells) == []


@pytest.mark.parametrize("key", registry())
def test_a_model_that_is_gone_is_one_line(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    cells = read_ledger()
    left = {c: n for c, n in cells.items() if key not in (key_of(c.model), c.topic)}
    others = {name: model for name, model in registry().items() if name != key}
    monkeypatch.setattr("tests.harness.gate.differences.registry", lambda: others)
    (line,) = difference_lines(cells, left)
    assert line.startswith(f"model {key} is gone: 0, fixtures/evidence.toml says ")

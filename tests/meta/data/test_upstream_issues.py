"""Upstream issues, and their nodes as known failures: strict, of named versions, no cover."""

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from tests.harness.data.upstream_issues import read_upstream_issues
from tests.harness.errors import DataError
from tests.meta.conftest import run_pytest
from tests.meta.data.test_data import check_refusal
from tests.meta.support.small_project import shrink

DATA = "fixtures/upstream_issues.toml"
PLANT = "tests/conformance/test_plant.py"
GOOD = {
    "nodes": '["test_plant"]',
    "package": '"pytest"',
    "versions": '">=1"',
    "reason": '"planted"',
    "link": '"https://example.org/1"',
}
# Test name -> (body, versions it is declared to fail under, outcome).
PLANTED = {
    "fails": ("fail('planted', 'as declared')", ">=1", "XFAIL"),
    "fails_unjudged": ("pytest.fail('no judgement of ours')", ">=1", "FAILED"),
    "fails_in_older_versions": ("fail('planted', 'new')", "<1", "FAILED"),
    "fails_in_newer_versions": ("fail('planted', 'new')", ">=9999", "FAILED"),
    "passes": ("pass", ">=1", "FAILED"),
    "passes_in_other_versions": ("pass", "<1", "PASSED"),
    "breaks": ("raise RuntimeError('no judgement of ours')", ">=1", "FAILED"),
    "asserts": ("assert False", ">=1", "FAILED"),
    "fixture_fails": ("pass", ">=1", "ERROR"),
    "fixture_breaks": ("pass", ">=1", "ERROR"),
    "skips": ("pytest.skip('not tried')", ">=1", "SKIPPED"),
}
FIXTURES = """
import pytest

from tests.harness.errors import fail

@pytest.fixture
def fixture_fails():
    pytest.fail("the model's files are not to be had")

@pytest.fixture
def fixture_breaks():
    raise RuntimeError
"""
# What is wrong -> (changed keys, the key the message must name, what it must say).
WRONG: dict[str, tuple[dict[str, str], str, str]] = {
    "version_specifier": (
        {"versions": '"5.x"'},
        "versions",
        "expected a version specifier such as '>=5.0.0,<5.8', got '5.x'",
    ),
    "no_versions": ({"versions": '""'}, "versions", "at least 1 character"),
    "unknown_key": ({"issue": '"1"'}, "issue", "unknown key"),
    "http_link": ({"link": '"http://example.org"'}, "link", "'http://example.org'"),
    "no_reason": ({"reason": ""}, "reason", "required"),
    "no_nodes": ({"nodes": "[]"}, "nodes", "at least 1 item"),
    "no_changes": ({"changes": "[]"}, "changes", "at least 1 item"),
    "unknown_kind": ({"changes": '[{ kind = "idz" }]'}, "changes.0.kind", "'ids'"),
    "change_without_kind": ({"changes": '[{ call = "encode" }]'}, "changes.0.kind", "required"),
    "unknown_key_of_a_change": (
        {"changes": '[{ kind = "ids", since = "5" }]'},
        "changes.0.since",
        "unknown key",
    ),
    "wrong_regular_expression": (
        {"changes": '[{ kind = "ids", left = "(" }]'},
        "changes.0.left",
        "regular expression",
    ),
    "node_is_no_test": ({"nodes": '["*"]'}, "nodes.0", "'*'"),
}
NO_TABLES = {
    "not_toml": (b"[planted\n", "line 1"),
    "table_twice": (b"[planted]\n[planted]\n", "line 2"),
    "no_table": (b"planted = 1\n", "[planted] must be a table"),
    "not_utf_8": (b"[planted]\nreason = '\xff'\n", "utf-8"),
}


def entry(name: str = "planted", **changes: str) -> str:
    """A table of the file; changed values are TOML, an empty one leaves the key out."""
    values = {key: value for key, value in {**GOOD, **changes}.items() if value}
    return "\n".join([f"[{name}]", *(f"{key} = {value}" for key, value in values.items())]) + "\n"


def write(folder: Path, text: bytes) -> Path:
    """The file with this content, named as the project's."""
    path = folder / DATA
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(text)
    return path


def add(project: Path, text: str) -> None:
    """Put entries behind the project's own."""
    path = project / DATA
    path.write_text(path.read_text(encoding="utf-8") + "\n" + text, encoding="utf-8")


def test_only_the_declared_failure_is_excused(project: Path) -> None:
    """One run of a test for each way in which a declared failure can go."""
    tests = "".join(
        f"def test_{name}({name if name.startswith('fixture') else ''}): {body}\n"
        for name, (body, _, _) in PLANTED.items()
    )
    (project / PLANT).write_text(FIXTURES + tests)
    for name, (_, versions, _) in PLANTED.items():
        add(project, entry(name, nodes=f'["test_{name}"]', versions=f'"{versions}"'))
    run = run_pytest("-v", PLANT, cwd=project)
    outcomes = re.findall(r"^\S+::test_(\w+) ([A-Z]+)", run.out, re.MULTILINE)
    assert dict(outcomes) == {name: outcome for name, (_, _, outcome) in PLANTED.items()}
    assert run.code == 1
    run.line("[XPASS(strict)] passes: planted (https://example.org/1)")


def test_missing_files_are_no_known_failure(project: Path) -> None:
    add(project, entry(nodes='["test_ids_match_tokenizer_json[phi3-plain.empty]"]'))
    node = "tests/conformance/test_tokens.py::test_ids_match_tokenizer_json[phi3-plain.empty]"
    run = run_pytest(node, cwd=project, MODEL_CONFORMANCE_CACHE=os.devnull + "/no_folder")
    assert run.code == 1
    assert "the bundle cannot be built" in run.line("ERROR tests")


def test_star_stands_for_anything_and_brackets_for_themselves(project: Path) -> None:
    (project / PLANT).write_text(
        "import pytest\nfrom tests.harness.errors import fail\n"
        "@pytest.mark.parametrize('case', ['a.b', 'a-b', 'ab'])\n"
        "def test_plant(case): fail('planted', 'as declared')\n"
    )
    add(project, entry(nodes='["test_*[a.b]"]'))
    run = run_pytest("-v", PLANT, cwd=project)
    outcomes = re.findall(r"test_plant\[(\S+)\] ([A-Z]+)", run.out.partition("= FAILURES")[0])
    assert dict(outcomes) == {"a.b": "XFAIL", "a-b": "FAILED", "ab": "FAILED"}


def test_node_without_a_test_is_an_error_of_a_complete_run(project: Path) -> None:
    """Of a distributed run too: see plugins/test_gate_plants.py."""
    message = f"{DATA}: [planted] nodes: 'test_*[phi3-gone]' matches no test; remove it or correct"
    gone = entry(nodes='["test_*[phi3-gone]"]')
    add(project, gone)
    assert run_pytest("--collect-only", "--models", "phi3", cwd=project).code == 0
    add(shrink(project), gone)
    run = run_pytest("tests/conformance", "--collect-only", "-q", cwd=project)
    assert run.code == 4
    assert run.line(DATA).startswith(f"ERROR: {message}")


def test_dead_node_of_a_models_own_fault_names_its_file(project: Path) -> None:
    fault: dict[str, Any] = {
        "package": "transformers",
        "versions": ">=0",
        "link": "https://github.com/a/b/pull/1",
    }
    fault |= {"reason": "Planted.", "nodes": ["test_*[phi3-gone]"]}
    file = shrink(project) / "fixtures" / "exceptions" / "phi3.json"
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps({"faults": [fault]}))
    run = run_pytest("tests/conformance", "--collect-only", "-q", cwd=project)
    assert run.code == 4
    message = "ERROR: fixtures/exceptions/phi3.json: [phi3_0] nodes: 'test_*[phi3-gone]' matches no"
    assert message in run.out


def test_entry_of_a_folder_that_does_not_run_is_not_dead(project: Path) -> None:
    add(project, entry(nodes='["test_*[smollm2-gone]"]', suite='"quantized"'))
    assert run_pytest("tests/conformance", "--collect-only", cwd=project).code == 0
    run = run_pytest("--collect-only", cwd=project)
    assert run.code == 4
    assert "'test_*[smollm2-gone]' matches no test" in run.line(DATA)


@pytest.mark.parametrize("options", [(), ("-n", "2")], ids=["alone", "distributed"])
def test_wrong_entry_stops_pytest_with_one_line(project: Path, options: tuple[str, ...]) -> None:
    add(project, entry(versions='"5.x"'))
    run = run_pytest("tests/conformance/test_prices.py", "-q", *options, cwd=project)
    assert run.code == 4
    assert [line for line in run.out.splitlines() if line] == [
        f"ERROR: {DATA}: [planted] versions: expected a version specifier such as "
        "'>=5.0.0,<5.8', got '5.x'"
    ]


@pytest.mark.parametrize("name", WRONG)
def test_wrong_entry_is_named(tmp_path: Path, name: str) -> None:
    changes, key, message = WRONG[name]
    path = write(tmp_path, entry(**changes).encode())
    check_refusal(lambda: read_upstream_issues(path), f"{DATA}: [planted] {key}", message)


def test_entry_needs_nodes_or_changes(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"\[planted\] expected nodes, changes or both$"):
        read_upstream_issues(write(tmp_path, entry(nodes="").encode()))
    text = entry(nodes="", changes='[{ kind = "ids" }]')
    (issue,) = read_upstream_issues(write(tmp_path, text.encode()))
    assert (issue.nodes, issue.changes[0].call) == ((), "*")


@pytest.mark.parametrize("name", NO_TABLES)
def test_file_that_cannot_be_read_is_named(tmp_path: Path, name: str) -> None:
    text, message = NO_TABLES[name]
    path = write(tmp_path, text)
    check_refusal(lambda: read_upstream_issues(path), DATA, message)


@pytest.mark.parametrize(
    ("package", "versions", "expected"),
    [
        ("pytest", ">=1", True),
        ("pytest", "<1", False),
        ("pytest", ">=1,!=9999", True),
        ("no-such-package", ">=0", False),
    ],
)
def test_entry_applies_to_the_installed_version(
    tmp_path: Path, package: str, versions: str, expected: bool
) -> None:
    text = entry(package=f'"{package}"', versions=f'"{versions}"')
    (known,) = read_upstream_issues(write(tmp_path, text.encode()))
    assert known.applies_here() is expected

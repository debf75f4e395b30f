"""Recordings of tests/quantized obey the rules of those of tests/conformance."""

from pathlib import Path

import pytest

from tests.meta.conftest import run_pytest

FILE, MODEL = "tests/quantized/test_snapshots.py", ("--models", "smollm2")


@pytest.fixture
def recording(project: Path) -> Path:
    """SmolLM2's recorded settings, with sampling switched on."""
    path = project / "tests" / "quantized" / "__snapshots__" / "smollm2.generation.txt"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("do_sample False", "do_sample True"), encoding="utf-8")
    return path


def test_another_setting_is_named(project: Path, recording: Path) -> None:
    run = run_pytest(f"{FILE}::test_generation_snapshot", *MODEL, cwd=project)
    assert run.code == 1
    line = run.line("generation snapshot: row")
    assert "smollm2 cpu-nf4: " in line and "got do_sample False, recorded do_sample True" in line
    run.line("if intended: pytest tests/quantized --models smollm2 --snapshot-update")


@pytest.mark.slow
def test_an_update_needs_all_tests_of_the_folder(project: Path, recording: Path) -> None:
    before = recording.read_bytes()
    run = run_pytest(FILE, *MODEL, "--snapshot-update", cwd=project)
    assert run.code == 1
    line = run.line("NOT saved")
    assert line.startswith("smollm2.generation.txt: 1 snapshots NOT saved, the old ones are kept")
    assert line.endswith("run: pytest tests/quantized --models smollm2 --snapshot-update")
    assert recording.read_bytes() == before

"""A project whose run takes a second, for what does not depend on any model."""

import shutil
from pathlib import Path

import pytest

from tests.meta.support.small_project import plant, shrink

MANY = """
import pytest
@pytest.mark.parametrize("number", range({count}))
def test_nothing(number): pass
"""


@pytest.fixture
def small(project: Path) -> Path:
    """A small copy with a hundred empty tests in place of the conformance tests."""
    conformance = shrink(project) / "tests" / "conformance"
    shutil.rmtree(conformance)
    conformance.mkdir()
    (project / "fixtures" / "upstream_issues.toml").write_text("")
    plant(project, "tests/conformance/test_m_plant.py", MANY.format(count=100))
    return project

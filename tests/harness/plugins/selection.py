"""How much of the suite a run covers, from its options alone (so it holds under xdist too)."""

from pathlib import Path

import pytest

from ..data.registry import registry
from ..files import TESTS
from .tokenizers import KEYS

SUITES = (TESTS / "conformance", TESTS / "quantized")  # the folders whose tests record snapshots


def covers(config: pytest.Config, suite: Path) -> bool:
    """Whether nothing narrows the tests of a folder, the choice of models aside."""
    narrowing = ("keyword", "markexpr", "deselect", "lf", "ignore", "ignore_glob", "stepwise")
    if any(config.getoption(name, None) for name in narrowing):
        return False
    places = [(config.invocation_params.dir / argument).resolve() for argument in config.args]
    return any(suite.is_relative_to(place) for place in places)


def is_complete(config: pytest.Config, suite: Path) -> bool:
    """Whether all tests of a folder are selected, for all models."""
    keys = config.stash[KEYS]
    return covers(config, suite) and set(keys) == set(registry())


def distributed(config: pytest.Config) -> bool:
    """Whether pytest-xdist spreads the tests over processes."""
    return bool(config.getoption("numprocesses", None)) or hasattr(config, "workerinput")

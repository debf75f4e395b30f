"""How much of the suite a run covers, from its options alone (so it holds under xdist too)."""

from pathlib import Path

import pytest

from ..data.registry import default_keys
from ..files import TESTS
from .tokenizers import KEYS

# The folders of a run that is asked for none.
SUITES = (TESTS / "conformance", TESTS / "quantized", TESTS / "serving")


def covers(config: pytest.Config, suite: Path) -> bool:
    """Whether nothing narrows the tests of a folder, the choice of models aside."""
    narrowing = ("keyword", "markexpr", "deselect", "stepwise")
    return not any(config.getoption(name, None) for name in narrowing) and collects(config, suite)


def collects(config: pytest.Config, suite: Path) -> bool:
    """Whether all files of a folder are collected; `-m` and `-k` come after that."""
    if any(config.getoption(name, None) for name in ("lf", "ignore", "ignore_glob")):
        return False
    return any(suite.is_relative_to(place) for place in places(config))


def places(config: pytest.Config) -> list[Path]:
    """The files and folders that the run was asked for; of a single test its name is a part."""
    return [(config.invocation_params.dir / argument).resolve() for argument in config.args]


def has_all_models(config: pytest.Config) -> bool:
    """Whether all models are chosen, but for those that are tested on request."""
    keys = config.stash[KEYS]
    return set(keys) >= set(default_keys())


def collects_all(config: pytest.Config, suite: Path) -> bool:
    """Whether all tests of a folder are collected, for all models."""
    return collects(config, suite) and has_all_models(config)


def is_complete(config: pytest.Config, suite: Path) -> bool:
    """Whether all tests of a folder are selected, for all models."""
    return covers(config, suite) and has_all_models(config)


def distributed(config: pytest.Config) -> bool:
    """Whether pytest-xdist spreads the tests over processes."""
    given = config.getoption("numprocesses", None) or config.getoption("tx", None)
    return bool(given) or hasattr(config, "workerinput")

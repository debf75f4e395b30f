"""How much of the suite a run covers, from its options alone (so it holds under xdist too)."""

from pathlib import Path

import pytest

from .loading import KEYS
from .models import registry

CONFORMANCE = Path(__file__).resolve().parents[1] / "conformance"


def covers_conformance(config: pytest.Config) -> bool:
    """Whether nothing narrows the conformance tests, the choice of models aside."""
    narrowing = ("keyword", "markexpr", "deselect", "lf", "ignore", "ignore_glob", "stepwise")
    if any(config.getoption(name, None) for name in narrowing):
        return False
    places = [(config.invocation_params.dir / argument).resolve() for argument in config.args]
    return any(CONFORMANCE.is_relative_to(place) for place in places)


def is_complete(config: pytest.Config) -> bool:
    """Whether all conformance tests of all models are selected."""
    keys = config.stash[KEYS]
    return covers_conformance(config) and set(keys) == set(registry())


def distributed(config: pytest.Config) -> bool:
    """Whether pytest-xdist spreads the tests over processes."""
    return bool(config.getoption("numprocesses", None)) or hasattr(config, "workerinput")

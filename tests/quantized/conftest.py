"""Parametrizes over the registry's models and devices and the loads, ordered by load."""

from typing import Any

import pytest

from tests.harness.checks.forward_pass import ForwardPass, judge_plain_run
from tests.harness.data.registry import Model
from tests.harness.errors import fail_unjudged
from tests.harness.forward.narrow import NarrowModel, load_narrow
from tests.harness.model.loading import LoadedModel
from tests.harness.plugins.parametrize import (
    Placement,
    drop_empty,
    parametrize_loads,
    parametrize_narrow,
    sort_by_load,
)

ERRORS = pytest.StashKey[dict[str, dict[str, float]]]()  # of each forward pass, by its name


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Each test with `loaded_model` runs on what the registry declares and its marks allow."""
    parametrize_loads(metafunc)
    parametrize_narrow(metafunc)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Drop tests that apply to no selected model; bring those of a load together."""
    drop_empty(items)
    sort_by_load(items)


@pytest.fixture(scope="session")
def forward_passes() -> dict[Placement, ForwardPass]:
    """The forward pass of the placement that was tested last."""
    return {}


@pytest.fixture
def forward(
    request: pytest.FixtureRequest,
    loaded_model: LoadedModel,
    placement: Placement,
    forward_passes: dict[Placement, ForwardPass],
) -> ForwardPass:
    """The plain forward pass of a loaded model, judged once; from the model as it was loaded."""
    if placement not in forward_passes:
        forward_passes.clear()
        fresh: LoadedModel = request.getfixturevalue("freshly_loaded")
        forward_passes[placement] = judge_plain_run(fresh)
        errors = request.config.stash.setdefault(ERRORS, {})
        errors[fresh.name] = forward_passes[placement].largest
    return forward_passes[placement]


@pytest.fixture(scope="session")
def narrow_models() -> dict[str, NarrowModel]:
    """The narrow models by key, each made once."""
    return {}


@pytest.fixture
def narrow(architecture: Model, narrow_models: dict[str, NarrowModel]) -> NarrowModel:
    """The narrow model of an architecture."""
    if architecture.key not in narrow_models:
        try:
            narrow_models[architecture.key] = load_narrow(architecture.architecture)
        except (KeyError, ValueError) as error:
            fail_unjudged(architecture.key, f"no reference for this architecture: {error}")
    return narrow_models[architecture.key]


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Print how far each forward pass was from the reference, but not under -q."""
    passes = config.stash.get(ERRORS, {})
    if passes and config.get_verbosity() >= 0:
        terminalreporter.section("forward passes: largest relative errors")
        for name, errors in passes.items():
            words = (f"{kind} {error:.2g}" for kind, error in errors.items())
            terminalreporter.write_line(f"{name}: {', '.join(words)}")

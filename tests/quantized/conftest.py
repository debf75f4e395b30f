"""Parametrizes over the registry's models and devices and the loads, ordered by load."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import pytest

from tests.harness.adapters.attached import Attached, observe
from tests.harness.adapters.attached_checks import describe, describe_merge
from tests.harness.adapters.folder import Adapter, given_adapter, made_adapters
from tests.harness.adapters.merging import Merged, observe_merge
from tests.harness.checks.forward_pass import ForwardPass, judge_plain_run
from tests.harness.data.registry import Model
from tests.harness.errors import AssetError, LoadError, fail_unjudged
from tests.harness.forward.narrow import NarrowModel, load_narrow
from tests.harness.model.loading import LoadedModel
from tests.harness.plugins.availability import fail_once, why_missing
from tests.harness.plugins.models import ModelCache
from tests.harness.plugins.parametrize import (
    Placement,
    parametrize_loads,
    parametrize_narrow,
    sort_by_load,
)
from tests.harness.plugins.tokenizers import ADAPTERS, tokenizers_of
from tests.harness.prices.products import by_length, price_prompt

T = TypeVar("T")

ADAPTED = pytest.StashKey[list[str]]()  # a line of figures for each adapter and merge
ERRORS = pytest.StashKey[dict[str, dict[str, float]]]()  # of each forward pass, by its name


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Each test with `loaded_model` runs on what the registry declares and its marks allow."""
    parametrize_loads(metafunc)
    parametrize_narrow(metafunc)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Bring the tests of a load together."""
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


@dataclass
class Measured:
    """What was measured of adapters, by placement; or why it could not be."""

    folder: Path  # of those that are made
    adapters: dict[str, list[Adapter] | str] = field(default_factory=dict)
    attached: dict[Placement, list[Attached] | str] = field(default_factory=dict)
    merged: dict[Placement, list[Merged] | str] = field(default_factory=dict)


@pytest.fixture(scope="session")
def measured() -> Iterator[Measured]:
    """What the session has measured of adapters so far."""
    with TemporaryDirectory(prefix="adapters-") as folder:
        yield Measured(Path(folder))


@pytest.fixture
def adapters(
    placement: Placement,
    model_cache: ModelCache,
    measured: Measured,
    pytestconfig: pytest.Config,
) -> list[Adapter]:
    """The model's adapter that `--adapter` gives, which needs no device; else those made for it."""
    key, device, _ = placement
    given = pytestconfig.stash[ADAPTERS].get(key)
    if given is None:
        model_cache.check_device(device)
    files = tokenizers_of(pytestconfig)[key]
    fail_once(pytestconfig, why_missing(files))
    if key not in measured.adapters:
        try:
            measured.adapters[key] = (
                [given_adapter(files.spec, given)]
                if given
                else made_adapters(files.spec, files.folder, measured.folder / key)
            )
        except AssetError as error:
            measured.adapters[key] = str(error)
    return _known(pytestconfig, measured.adapters[key])


def _known(config: pytest.Config, found: list[T] | str) -> list[T]:
    """What was found; one test fails for what could not be had, and others are skipped."""
    if isinstance(found, str):
        fail_once(config, found)
        return []
    return found


@pytest.fixture
def attached(
    request: pytest.FixtureRequest,
    placement: Placement,
    adapters: list[Adapter],
    model_cache: ModelCache,
    measured: Measured,
) -> list[Attached]:
    """Each adapter attached to the model, measured once; the model is unloaded after it."""
    if placement not in measured.attached:
        loaded: LoadedModel = request.getfixturevalue("freshly_loaded")
        prompt = price_prompt(by_length()[0].text)
        measured.attached[placement] = _measure(
            model_cache, lambda: observe(loaded, model_cache.slot.model, adapters, prompt)
        )
        _note(request.config, map(describe, _found(measured.attached[placement])))
    return _known(request.config, measured.attached[placement])


@pytest.fixture
def merged(
    request: pytest.FixtureRequest,
    placement: Placement,
    adapters: list[Adapter],
    loaded_model: LoadedModel,
    model_cache: ModelCache,
    measured: Measured,
) -> list[Merged]:
    """Each adapter merged into the model, measured once; the model is unloaded after it."""
    if placement not in measured.merged:
        measured.merged[placement] = _measure(
            model_cache,
            lambda: [observe_merge(loaded_model, model_cache.slot.model, one) for one in adapters],
        )
        _note(request.config, map(describe_merge, _found(measured.merged[placement])))
    return _known(request.config, measured.merged[placement])


def _found(found: list[T] | str) -> list[T]:
    return [] if isinstance(found, str) else found


def _note(config: pytest.Config, lines: Iterable[str]) -> None:
    config.stash.setdefault(ADAPTED, []).extend(lines)


def _measure(cache: ModelCache, measure: Callable[[], list[T]]) -> list[T] | str:
    """What was measured, or why it could not be; the model is unloaded."""
    try:
        return measure()
    except LoadError as error:
        return str(error)
    finally:
        cache.slot.unload()


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Print how far each forward pass and adapter was from the reference, but not under -q."""
    adapted = config.stash.get(ADAPTED, [])
    if adapted and config.get_verbosity() >= 0:
        terminalreporter.section("adapters")
        for line in adapted:
            terminalreporter.write_line(line)
    passes = config.stash.get(ERRORS, {})
    if passes and config.get_verbosity() >= 0:
        terminalreporter.section("forward passes: largest relative errors")
        for name, errors in passes.items():
            words = (f"{kind} {error:.2g}" for kind, error in errors.items())
            terminalreporter.write_line(f"{name}: {', '.join(words)}")

"""Parametrises over the (model, device) pairs of the registry and the loads; one at a time."""

from collections.abc import Generator
from typing import Any

import pytest

from tests.harness import device as devices
from tests.harness.asking import ask, asked
from tests.harness.places import parametrise, place_of, sort
from tests.harness.quantized import LOADED, live, live_place, models
from tests.harness.untouched import untouched

__all__ = ["ask", "asked", "live", "live_place", "models", "untouched"]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Each test that takes `live` runs on what the registry declares; marks narrow it."""
    parametrise(metafunc)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Drop what pytest would skip for an empty parameter set: no chosen model is concerned."""
    items[:] = [item for item in items if "[NOTSET" not in item.name]
    sort(items)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A device that ran out of memory is given up: one failure, a line long, ends its tests."""
    report = yield
    place = place_of(item)
    if place and call.excinfo and devices.is_fatal(call.excinfo.value):
        device, reason = place[1], devices.first(call.excinfo.value)
        if device not in devices.GIVEN_UP:
            devices.GIVEN_UP[device] = f"{item.name}: {reason}"
            report.longrepr = f"{'-'.join(place)}: {device} is given up: {reason}"
    return report


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """The figures of each load, unless -q asks for quiet."""
    loads = config.stash.get(LOADED, {})
    if loads and config.get_verbosity() >= 0:
        terminalreporter.section("loads: bytes and seconds")
        for name, line in loads.items():
            terminalreporter.write_line(f"{name}: {line}")

"""Which (model, device, load) a test of the 4-bit model runs on, and in which order."""

from typing import Any

import pytest

from .loading import KEYS, WEIGHTS
from .memory import LOADS, Load
from .models import Device, registry

Place = tuple[str, Device, Load]


def places(config: pytest.Config, test: pytest.Function) -> list[Place]:
    """The declared combinations for a test, narrowed by its marks.

    Under dummy weights that were asked for by name a test of trained values is not applicable.
    """
    narrow = {
        name: test.get_closest_marker(name) for name in ("loads", "devices", "trained", "needs")
    }
    loads = narrow["loads"].args if narrow["loads"] else LOADS
    needs = narrow["needs"].args if narrow["needs"] else ()
    found: list[Place] = [
        (key, device, load)
        for key in config.stash[KEYS]
        if registry()[key].can(*needs)
        if not (narrow["trained"] and config.stash[WEIGHTS][key] == "dummy")
        for device in registry()[key].quantized_on
        if not narrow["devices"] or device in narrow["devices"].args
        for load in loads
    ]
    return sorted(found, key=order)


def order(place: Place) -> tuple[str, str, int]:
    """The small models of the CPU first; of the loads bf16, which others are compared with."""
    return place[1], place[0], ("bf16", "nf4", "int8").index(place[2])


def sort(items: list[pytest.Item]) -> None:
    """Bring the tests of each load together, so that it happens once; others keep their place.

    Those that need the model as it was loaded come first, before it is run.
    """
    spots = [index for index, item in enumerate(items) if place_of(item)]
    ordered = sorted(
        (items[spot] for spot in spots),
        key=lambda it: (order(place_of(it)), "untouched" not in getattr(it, "fixturenames", ())),
    )
    for spot, item in zip(spots, ordered, strict=True):
        items[spot] = item


def place_of(item: pytest.Item) -> Any:
    """The combination a test runs on; None if it takes no `live`."""
    call = getattr(item, "callspec", None)
    return call.params.get("live_place") if call else None


def parametrise(metafunc: pytest.Metafunc) -> None:
    """Give a test that takes `live` its combinations: all three loads unless marked `loads`."""
    if "live_place" not in metafunc.fixturenames:
        return
    chosen = places(metafunc.config, metafunc.definition)
    metafunc.parametrize(
        "live_place",
        [
            pytest.param(it, id="-".join(it), marks=[pytest.mark.gpu] if it[1] == "cuda" else [])
            for it in chosen
        ],
        indirect=True,
        scope="session",  # pytest keeps tests of one place together, as `sort` has them
    )

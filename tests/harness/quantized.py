"""Hands the tests of the 4-bit model the loaded model they ask for."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, cast

import pytest

from . import device as devices
from .errors import AssetError
from .likeness import next_token_logs
from .live import Live, LoadError, Slot, prepared_tokenizer
from .load_figures import load_figures
from .loading import WEIGHTS, models_of, say_past_capture
from .models import Device, Model, registry
from .places import Place
from .refusing import absent, refuse
from .verdicts import figures
from .weights import Weights, prepare_weights

LOADED = pytest.StashKey[dict[str, str]]()  # the figures of each first load, by Live.name


@dataclass
class Models:
    """Prepares, loads and hands out; a failure of one kind is told once, then skipped."""

    config: pytest.Config
    slot: Slot = field(default_factory=Slot)
    weights: dict[tuple[str, Device], Weights] = field(default_factory=dict)
    tokenizers: dict[str, Any] = field(default_factory=dict)
    told: dict[str, str] = field(default_factory=dict)  # what cannot be had, and why
    logs: dict[str, list[Any]] = field(default_factory=dict)  # log-probabilities by Live.name
    loads: list[tuple[str, str]] = field(default_factory=list)  # figures no report has yet

    def prepare(self, model: Model, device: Device) -> Weights:
        """The model's checkpoint, once a session."""
        if (model.key, device) not in self.weights:
            option = self.config.stash[WEIGHTS][model.key]
            folder = models_of(self.config)[model.key].folder
            self.slot.unload()  # dummy weights are made on the device
            self.weights[model.key, device] = prepare_weights(
                model, device, option, folder, say_past_capture(self.config)
            )
        return self.weights[model.key, device]

    def get(self, place: Place, trained: bool) -> Live:
        """The model of a test, loaded unless it is the one in memory; skips or fails the test."""
        key, device, _ = place
        self.check_device(device)
        refuse(self.config, absent(models_of(self.config)[key]))
        for name in (f"{key}-{device}", "-".join(place)):
            if reason := self.told.get(name):
                pytest.skip(f"{name} cannot be had: {reason}")
        try:
            name = f"{key}-{device}"
            weights = self.prepare(registry()[key], device)
            if trained and not weights.trained:
                pytest.skip(f"needs trained values, and these are {weights.note}")
            name = "-".join(place)
            return self.load(place, weights)
        except (AssetError, LoadError) as error:
            reason = str(error)
        except Exception as error:
            if devices.is_fatal(error):
                raise  # the report hook tells it
            reason = f"{type(error).__name__}: {devices.first(error)}"
        # Out here the error's frames, which hold what was loaded so far, are gone.
        self.slot.unload()
        devices.collect(device)
        self.told[name] = reason.removeprefix(f"{key}: ")
        pytest.fail(f"{key}: {name}: {self.told[name]}", pytrace=False)

    def load(self, place: Place, weights: Weights) -> Live:
        """The model in memory if it is the one, else it takes the other's place."""
        key, device, load = place
        live = self.slot.live
        if live is None or (live.key, live.device, live.load) != place:
            if key not in self.tokenizers:
                self.tokenizers[key] = prepared_tokenizer(models_of(self.config)[key].folder)
            tokenizer = self.tokenizers[key]
            live = self.slot.put(registry()[key], device, load, weights, tokenizer)
            told = self.config.stash.setdefault(LOADED, {})
            if live.name not in told:
                told[live.name] = figures(live)
                self.loads.append((f"memory {live.name}", json.dumps(asdict(load_figures(live)))))
        return live

    def hand_over(self, test: pytest.Item) -> None:
        """Give the figures of first loads to the test's report, which travels between processes."""
        test.user_properties += self.loads
        self.loads.clear()

    def remembered(self, place: Place, texts: list[str]) -> list[Any]:
        """Log-probabilities of the texts' next tokens; it is loaded only if they are not known."""
        name = "-".join(place)
        if name not in self.logs:
            live = self.get(place, trained=False)
            self.logs[name] = next_token_logs(live.model, live.tokenizer, texts)
        return self.logs[name]

    def check_device(self, device: Device) -> None:
        """Skip without the device or once it is given up; fail once if it does not work."""
        if device == "cuda" and not devices.has_cuda():
            pytest.skip(devices.NO_CUDA)
        if reason := devices.GIVEN_UP.get(device):
            pytest.skip(f"{device} was given up: {reason}")
        if device not in self.told:
            self.told[device] = ""
            if fault := devices.preflight(device):
                devices.GIVEN_UP[device] = fault
                pytest.fail(fault, pytrace=False)


@pytest.fixture(scope="session")
def models(request: pytest.FixtureRequest) -> Iterator[Models]:
    """What hands out models; at the end nothing is left in memory."""
    models = Models(request.config)
    yield models
    models.slot.unload()


@pytest.fixture(scope="session")
def live_place(request: pytest.FixtureRequest) -> Place:
    """Model key, device and load of a test."""
    return cast(Place, request.param)


@pytest.fixture
def live(request: pytest.FixtureRequest, live_place: Place, models: Models) -> Iterator[Live]:
    """The loaded model a test is parametrised with."""
    live = models.get(live_place, request.node.get_closest_marker("trained") is not None)
    models.hand_over(request.node)
    yield live
    models.hand_over(request.node)  # of what the test had loaded itself

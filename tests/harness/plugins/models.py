"""The loaded models of tests/quantized, one in memory at a time."""

import json
from collections.abc import Callable, Generator, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, cast

import pytest

from ..data.registry import Device
from ..errors import AssetError, LoadError, fail_unjudged
from ..model import device as devices
from ..model.error_bounds import quantized_layers
from ..model.figures import describe, load_figures
from ..model.fingerprints import next_token_logs
from ..model.generation import Answer, predict
from ..model.loading import LoadedModel, ModelSlot, prepared_tokenizer
from ..model.second_load import Reloaded, SecondProcess
from ..prices.products import by_length, price_prompt
from ..sources.weights import Weights, prepare_weights
from ..text import first_line
from ..tokenizer.loaded import LoadedTokenizer
from .availability import fail_once, why_missing
from .parametrize import Placement, needs, placement_of
from .tokenizers import WEIGHTS, progress_past_capture, tokenizers_of

Generate = Callable[..., Answer]
LOADED = pytest.StashKey[dict[str, str]]()  # the figures of each first load, by LoadedModel.name


@dataclass
class ModelCache:
    """Prepares, loads and hands out; what cannot be had fails once, then skips."""

    config: pytest.Config
    slot: ModelSlot = field(default_factory=ModelSlot)
    weights: dict[tuple[str, Device], Weights] = field(default_factory=dict)
    tokenizers: dict[str, Any] = field(default_factory=dict)
    reported: dict[str, str] = field(default_factory=dict)  # what cannot be had, and why
    logs: dict[str, list[Any]] = field(default_factory=dict)  # log-probabilities, by name
    answers: dict[str, Answer] = field(default_factory=dict)  # each takes a second on a CPU
    loads: list[tuple[str, str]] = field(default_factory=list)  # figures no report has yet
    reloading: set[Placement] = field(default_factory=set)  # what is to be loaded a second time
    second_loads: dict[Placement, str] = field(default_factory=dict)  # what went wrong, or ""
    second_process: SecondProcess = field(default_factory=SecondProcess)

    def prepare(self, files: LoadedTokenizer, device: Device) -> Weights:
        """The checkpoint of the model whose files these are, once a session."""
        key = files.key
        if (key, device) not in self.weights:
            option, folder = self.config.stash[WEIGHTS][key], files.folder
            self.slot.unload()  # dummy weights are made on the device
            self.weights[key, device] = prepare_weights(
                files.spec, device, option, folder, progress_past_capture(self.config)
            )
        return self.weights[key, device]

    def get(self, placement: Placement, trained: bool) -> LoadedModel:
        """The model of a test, loaded unless it is the one in memory; skips or fails the test."""
        key, device, _ = placement
        self.check_device(device)
        files = tokenizers_of(self.config)[key]
        fail_once(self.config, why_missing(files))
        for name in (f"{key}-{device}", "-".join(placement)):
            if reason := self.reported.get(name):
                pytest.skip(f"{name} cannot be had: {reason}")
        try:
            name = f"{key}-{device}"
            weights = self.prepare(files, device)
            if trained and not weights.trained:
                pytest.skip(f"needs trained values, and these are {weights.note}")
            name = "-".join(placement)
            return self.load(placement, weights, files)
        except (AssetError, LoadError) as error:
            reason = str(error)
        except Exception as error:
            if devices.is_fatal(error):
                raise  # the report hook below ends the device's tests
            reason = f"{type(error).__name__}: {first_line(error)}"
        # Out here the error's frames, which hold what was loaded so far, are gone.
        self.slot.unload()
        devices.collect(device)
        self.reported[name] = reason.removeprefix(f"{key}: ")
        pytest.fail(f"{key}: {name}: {self.reported[name]}", pytrace=False)

    def load(self, placement: Placement, weights: Weights, files: LoadedTokenizer) -> LoadedModel:
        """The model in memory if it is the one, else it replaces the other."""
        key, device, load = placement
        loaded_model = self.slot.loaded_model
        if loaded_model is None or loaded_model.placement != placement:
            if key not in self.tokenizers:
                self.tokenizers[key] = prepared_tokenizer(files.folder)
            tokenizer = self.tokenizers[key]
            loaded_model = self.slot.load(files.spec, device, load, weights, tokenizer)
            lines = self.config.stash.setdefault(LOADED, {})
            if loaded_model.name not in lines:
                lines[loaded_model.name] = describe(loaded_model)
                figures = json.dumps(asdict(load_figures(loaded_model)))
                self.loads.append((f"memory {loaded_model.name}", figures))
            if placement in self.reloading - self.second_loads.keys():
                self.second_loads[placement] = self.begin_second_load(loaded_model)
        return loaded_model

    def begin_second_load(self, loaded_model: LoadedModel) -> str:
        """Begin this model's second load; why that failed, which only what needs it shall fail."""
        try:
            self.second_process.begin(loaded_model, price_prompt(by_length()[0].text))
        except Exception as error:
            if devices.is_fatal(error):
                raise
            return first_line(error)
        return ""

    def hand_over(self, test: pytest.Item) -> None:
        """Give the figures of first loads to the test's report, which travels between processes."""
        test.user_properties += self.loads
        self.loads.clear()

    def remembered(self, placement: Placement, texts: list[str]) -> list[Any]:
        """Log-probabilities of the texts' next tokens; it is loaded only if they are not known."""
        name = "-".join(placement)
        if name not in self.logs:
            loaded_model = self.get(placement, trained=False)
            self.logs[name] = next_token_logs(loaded_model.model, loaded_model.tokenizer, texts)
        return self.logs[name]

    def check_device(self, device: Device) -> None:
        """Skip without the device or once it is unusable; fail once if it does not work."""
        if device == "cuda" and not devices.has_cuda():
            pytest.skip(devices.NO_CUDA)
        if reason := devices.UNUSABLE_DEVICES.get(device):
            pytest.skip(f"{device} was given up: {reason}")
        if device not in self.reported:
            self.reported[device] = ""
            if fault := devices.preflight(device):
                devices.UNUSABLE_DEVICES[device] = fault
                pytest.fail(fault, pytrace=False)


@pytest.fixture(scope="session")
def model_cache(request: pytest.FixtureRequest) -> Iterator[ModelCache]:
    """What hands out models; at the end nothing is left in memory."""
    reloading = {placement_of(item) for item in request.session.items if needs(item, "second_load")}
    cache = ModelCache(request.config, reloading=reloading)
    if any(device == "cpu" or devices.has_cuda() for _, device, _ in reloading):
        cache.second_process.start()
    yield cache
    cache.slot.unload()
    cache.second_process.stop()


@pytest.fixture(scope="session")
def placement(request: pytest.FixtureRequest) -> Placement:
    """Model key, device and load of a test."""
    return cast(Placement, request.param)


@pytest.fixture
def loaded_model(
    request: pytest.FixtureRequest, placement: Placement, model_cache: ModelCache
) -> Iterator[LoadedModel]:
    """The loaded model a test is parametrized with."""
    trained = request.node.get_closest_marker("trained") is not None
    loaded_model = model_cache.get(placement, trained)
    model_cache.hand_over(request.node)
    yield loaded_model
    model_cache.hand_over(request.node)  # of what the test had loaded itself


@pytest.fixture
def freshly_loaded(
    loaded_model: LoadedModel, placement: Placement, model_cache: ModelCache
) -> LoadedModel:
    """The model as it was loaded: loaded again if it was run since.

    On processors with AVX512-BF16 the first use of a 4-bit layer replaces its weights and its
    quant_state, and turning that back rounds the absmax values to bf16; the first use of an int8
    layer moves its row scales.
    """
    if not any(_was_run(module.weight) for _, module in quantized_layers(loaded_model.model)):
        return loaded_model
    model_cache.slot.unload()
    return model_cache.get(placement, trained=False)


@pytest.fixture
def second_load(placement: Placement, model_cache: ModelCache) -> Reloaded:
    """The model as a new process loaded it, which began when this one was loaded."""
    name = "-".join(placement)
    if placement not in model_cache.second_loads:
        model_cache.get(placement, trained=False)
    try:
        if problem := model_cache.second_loads[placement]:
            raise LoadError(problem)
        return model_cache.second_process.result(name)
    except LoadError as error:
        fail_unjudged(f"{placement[0]}: {name}", str(error))


def _was_run(weight: Any) -> bool:
    """Whether a quantized weight shows that its layer was used."""
    moved = getattr(weight, "SCB", weight) is None
    return moved or hasattr(getattr(weight, "quant_state", None), "packing_format_for_cpu")


@pytest.fixture
def generate(loaded_model: LoadedModel, model_cache: ModelCache) -> Generate:
    """`predict` for the loaded model, remembered."""

    def generate(prompt: str, **changes: Any) -> Answer:
        key = f"{loaded_model.label} {prompt!r} {sorted(changes.items())}"
        if key not in model_cache.answers:
            answer = predict(loaded_model.model, loaded_model.tokenizer, prompt, **changes)
            model_cache.answers[key] = answer
        return model_cache.answers[key]

    return generate


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A device that ran out of memory is given up: one failure, a line long, ends its tests."""
    report = yield
    placement = placement_of(item)
    if placement and call.excinfo and devices.is_fatal(call.excinfo.value):
        device, reason = placement[1], first_line(call.excinfo.value)
        if device not in devices.UNUSABLE_DEVICES:
            devices.UNUSABLE_DEVICES[device] = f"{item.name}: {reason}"
            report.longrepr = f"{'-'.join(placement)}: {device} is given up: {reason}"
    return report


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Print the figures of each load, but not under -q."""
    loads = config.stash.get(LOADED, {})
    if loads and config.get_verbosity() >= 0:
        terminalreporter.section("loads: bytes and seconds")
        for name, line in loads.items():
            terminalreporter.write_line(f"{name}: {line}")

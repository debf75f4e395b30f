"""One model in memory, freed when unloaded; a lost device fails once; messages are captured."""

import gc
import json
import logging
import warnings
from pathlib import Path
from typing import Any

import pytest

from tests.harness.checks.memory import allocation_bounds
from tests.harness.data.registry import registry
from tests.harness.errors import LoadError
from tests.harness.memory.footprint import LOADS, Load, footprint
from tests.harness.model import device as devices
from tests.harness.model.figures import load_figures
from tests.harness.model.loading import ModelSlot, prepared_tokenizer
from tests.harness.model.messages import DECLARED, capture_messages, drop_declared
from tests.harness.sources.checkpoints import dummy
from tests.harness.sources.weights import Weights
from tests.meta.conftest import run_pytest
from tests.meta.support.tiny_models import tiny


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Weights:
    """Random weights of a tiny model."""
    cache = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patcher:
        patcher.setenv("MODEL_CONFORMANCE_CACHE", str(cache))
        folder = dummy(tiny(), "cpu", cache, print)
    gc.freeze()  # each load collects garbage: of the imported libraries there is none
    return Weights("dummy", folder, False, "dummy weights")


@pytest.fixture(scope="module")
def tokenizer(bundle: dict[str, Path]) -> Any:
    """Llama-3.1's tokenizer as the task sets it."""
    return prepared_tokenizer(bundle["llama3_1"])


def test_tokenizer_is_prepared_as_in_the_task(tokenizer: Any) -> None:
    assert tokenizer.pad_token == tokenizer.eos_token == "<|end_of_text|>"
    assert tokenizer.padding_side == "right"


@pytest.mark.parametrize("load", LOADS)
def test_next_model_replaces_the_one_before(load: Load, weights: Weights, tokenizer: Any) -> None:
    """Even while the first model and all its tensors are held, as a traceback holds them."""
    slot = ModelSlot()
    first = slot.load(tiny(), "cpu", load, weights, tokenizer)
    held, kept = slot.model, devices.tensors_of(slot.model)
    assert first.model.generation_config.pad_token_id == tokenizer.eos_token_id
    assert sum(tensor.numel() for tensor in kept) > 100_000
    second = slot.load(tiny(), "cpu", load, weights, tokenizer)
    assert sum(tensor.numel() for tensor in kept) == 0
    assert second.model.get_memory_footprint() == second.measured.footprint
    del held, kept
    devices.collect("cpu")
    with pytest.raises(RuntimeError, match=f"llama3_1-cpu-{load} was unloaded"):
        _ = first.model
    slot.unload()


@pytest.mark.parametrize("load", LOADS)
def test_figures_of_a_load_add_up_and_name_it(load: Load, weights: Weights, tokenizer: Any) -> None:
    slot = ModelSlot()
    loaded = slot.load(tiny(), "cpu", load, weights, tokenizer)
    assert (loaded.key, loaded.name) == ("llama3_1", f"llama3_1-cpu-{load}")
    assert loaded.label == f"llama3_1: cpu {load}, dummy weights"
    figures = load_figures(loaded)
    computed, kinds = footprint(tiny(), load), dict(figures.kinds)
    assert kinds.pop("Embedding") == computed.embedding
    assert kinds.pop("LlamaRMSNorm") == computed.norms
    assert kinds.pop("Linear") == computed.kept_linears
    assert sum(kinds.values()) == computed.quantized_linears
    assert figures.footprint == figures.computed == sum(figures.kinds.values()) + figures.buffers
    assert figures.held == figures.footprint + figures.quant_states and figures.other == 0
    assert bool(figures.quant_states) == (load != "bf16")
    assert figures.allocated is None and figures.peak is None and figures.budget > figures.held
    slot.model = None  # the slot's is the only strong reference
    devices.collect("cpu")
    assert loaded.reference() is None


def test_too_little_memory_is_one_line(
    weights: Weights, tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "free_bytes", lambda device: 100_000)
    with pytest.raises(LoadError, match=r"^llama3_1: cpu nf4 needs 0\.0 GB, and 0\.0 GB are free"):
        ModelSlot().load(tiny(), "cpu", "nf4", weights, tokenizer)


def test_preflight_names_bitsandbytes(monkeypatch: pytest.MonkeyPatch) -> None:
    from bitsandbytes import functional

    assert devices.preflight("cpu") is None

    def broken(*args: Any, **given: Any) -> Any:
        raise RuntimeError("no kernel image is available\nand more")

    monkeypatch.setattr(functional, "quantize_4bit", broken)
    line = devices.preflight("cpu") or ""
    assert line.startswith("cpu: bitsandbytes ") and "no kernel image is available;" in line
    monkeypatch.setattr(functional, "quantize_4bit", lambda values, **given: (values, None))
    monkeypatch.setattr(functional, "dequantize_4bit", lambda values, state: -values)
    assert "quantizes wrongly there: an error of 2.00" in (devices.preflight("cpu") or "")


def test_preflight_names_torch_and_the_driver() -> None:
    line = devices.preflight("meta:0") or devices.preflight("cuda:77") or ""
    assert "cannot multiply there" in line and "update the driver, or install a torch" in line


def test_what_is_fatal_to_a_device() -> None:
    import torch

    assert devices.is_fatal(torch.OutOfMemoryError("CUDA out of memory"))
    assert devices.is_fatal(RuntimeError("CUDA error: an illegal memory access was encountered"))
    assert not devices.is_fatal(RuntimeError("shapes do not fit"))
    assert not devices.is_fatal(AssertionError("CUDA error in a message"))


def test_allocation_bounds() -> None:
    assert allocation_bounds((1, 512, 513)) == (512 + 512 + 1024, 2048)
    assert allocation_bounds((2**21, 2**20)) == (3 * 2**20, 4 * 2**20)


def test_all_messages_are_captured(capsys: pytest.CaptureFixture[str]) -> None:
    from transformers.utils import logging as hf

    with capture_messages() as messages:
        warnings.warn("a warning", stacklevel=1)
        logging.getLogger("transformers.modeling_utils").warning("of %s", "transformers")
        logging.getLogger("somebody.else").error("an error")
        logging.getLogger("somebody.else").info("below WARNING")
        hf.get_logger("transformers.x").warning_once("once")
        print("a print")
        with pytest.raises(AssertionError, match="a library asked for input: run it\\?"):
            input("run it?")
    assert messages == [
        "log transformers.modeling_utils: of transformers",
        "log somebody.else: an error",
        "log transformers.x: once",
        "warning UserWarning: a warning",
        "printed: a print",
    ]


def test_only_the_declared_message_is_dropped() -> None:
    drop_declared()
    ((name, start),) = DECLARED.items()
    with capture_messages() as messages:
        logging.getLogger(name).warning(start + " %s to float16", "bfloat16")
        logging.getLogger(name).warning("something else")
    assert messages == [f"log {name}: something else"]


# The model of the CPU alone, and few of its tests: they show how often a lost device fails.
SMALL = (
    *("tests/quantized/test_loading.py", "tests/quantized/test_memory.py", "-q", "-rs"),
    *("-m", "not gpu", "--models", "smollm2"),
)
PLANT = """
def full(*args):
    import torch
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")

def pytest_configure(config):
    from tests.harness.model import loading
    loading.from_pretrained = full
"""


def test_out_of_memory_fails_once_a_device(tmp_path: Path) -> None:
    (tmp_path / "planted.py").write_text(PLANT, encoding="utf-8")
    run = run_pytest(*SMALL, "-p", "planted", "--gate", PYTHONPATH=str(tmp_path))
    assert run.code == 1
    assert run.line("cpu is given up").startswith("smollm2-cpu-bf16: cpu is given up: CUDA out of")
    assert " 1 error" in run.out and " failed" not in run.out
    assert "cpu was given up: test_every_weight_is_a_number[smollm2-cpu-bf16]" in run.out


def test_weights_that_cannot_be_loaded_fail_once(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"")
    config = json.dumps(registry()["smollm2"].architecture)
    (tmp_path / "config.json").write_text(config, encoding="utf-8")
    run = run_pytest(*SMALL, "--weights", f"smollm2={tmp_path}")
    assert run.code == 1
    line = "smollm2: smollm2-cpu: model.safetensors is empty (0 bytes): fetch it again"
    assert run.line("is empty (0 bytes): fetch").startswith(line)
    assert " 1 error" in run.out and " failed" not in run.out
    assert "smollm2-cpu cannot be had: model.safetensors is empty" in run.out

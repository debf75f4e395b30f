"""The memory arithmetic against transformers and bitsandbytes, to the byte."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.harness.data.registry import registry
from tests.harness.memory.footprint import LOADS, Load, footprint, quant_state_bytes
from tests.harness.sources.checkpoints import random_model
from tests.meta.support import real_models as real

Build = Callable[[str, Load, bool], Any]  # key, load, double_quant

Loads = pytest.mark.parametrize("load", LOADS)
Models = pytest.mark.parametrize("key", list(registry()))
DoubleQuant = pytest.mark.parametrize("double_quant", [True, False], ids=["double", "single"])

# Measured on an H100 with transformers 5.17 and bitsandbytes 0.50.2, random weights.
LLAMA: dict[Load, int] = {
    "nf4": 5_591_540_224,
    "int8": 9_081_201_152,
    "bf16": 16_060_523_008,
}


@cache
def on_meta(key: str, load: Load, double_quant: bool) -> Any:
    """The model of full size without memory, built once."""
    return real.on_meta(registry()[key], load, double_quant=double_quant)


@pytest.fixture(scope="module")
def small_model(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """`on_meta` for small models with random weights, saved and loaded."""

    @cache
    def saved(key: str) -> Path:
        folder = tmp_path_factory.mktemp(key)
        random_model(real.small(key), "cpu").save_pretrained(folder)
        return folder

    @cache
    def build(key: str, load: Load, double_quant: bool) -> Any:
        return real.loaded(saved(key), load, double_quant=double_quant)

    return build


@Loads
@Models
def test_footprint_is_transformers_own(key: str, load: Load) -> None:
    built, ours = on_meta(key, load, True), footprint(registry()[key], load)
    assert real.measured_by_kind(built) == vars(ours)
    assert built.get_memory_footprint(return_buffers=False) == ours.parameters
    assert built.get_memory_footprint() == ours.total


@Loads
@Models
def test_footprint_of_a_loaded_small_model(small_model: Build, key: str, load: Load) -> None:
    built, ours = small_model(key, load, True), footprint(real.small(key), load)
    assert real.measured_by_kind(built) == vars(ours)
    assert built.get_memory_footprint() == ours.total


@Loads
@pytest.mark.parametrize("key", ["llama3_1", "llama3_1_instruct"])
def test_footprint_is_the_one_measured_on_a_gpu(key: str, load: Load) -> None:
    assert footprint(registry()[key], load).total == LLAMA[load]


@DoubleQuant
@Models
def test_quant_states(key: str, double_quant: bool) -> None:
    model = registry()[key]
    built = on_meta(key, "nf4", double_quant)
    ours = quant_state_bytes(model, double_quant=double_quant)
    assert real.size(real.quant_state_tensors(built)) == ours
    assert built.get_memory_footprint() == footprint(model, "nf4").total


@DoubleQuant
@Models
def test_quant_states_of_a_loaded_small_model(
    small_model: Build, key: str, double_quant: bool
) -> None:
    tensors = list(real.quant_state_tensors(small_model(key, "nf4", double_quant)))
    assert real.size(tensors) == quant_state_bytes(real.small(key), double_quant=double_quant)
    storages = {tensor.untyped_storage().data_ptr() for tensor in tensors}
    assert len(storages) == len(tensors)


def test_quant_states_of_llama() -> None:
    model = registry()["llama3_1"]
    assert quant_state_bytes(model) == 111_000_448
    assert quant_state_bytes(model, double_quant=False) == 436_221_952
    assert quant_state_bytes(model, blocksize=128, double_quant=False) == 218_118_144


def test_unknown_architecture_is_named() -> None:
    llama = registry()["llama3_1"]
    model = replace(llama, architecture={**llama.architecture, "model_type": "gemma"})
    with pytest.raises(ValueError, match=r"'gemma' is not known .*llama, phi3, qwen2, starcoder2"):
        footprint(model, "nf4")

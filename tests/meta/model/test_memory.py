"""The memory arithmetic against real models, to the byte, and how it explains planted faults."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.harness.data.registry import Model, default_keys, registry
from tests.harness.memory.footprint import (
    LOADS,
    Load,
    causes,
    explain,
    footprint,
    quant_state_bytes,
)
from tests.harness.sources.checkpoints import random_model
from tests.meta.model import real_models as real

Build = Callable[[str, Load, bool], Any]  # key, load, double_quant

Loads = pytest.mark.parametrize("load", LOADS)
Models = pytest.mark.parametrize("key", default_keys())
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
def test_footprint_is_the_one_measured_on_a_gpu(load: Load) -> None:
    assert footprint(registry()["llama3_1"], load).total == LLAMA[load]


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


Fault = Callable[[Model, Load], Any]


def left_out(*layers: str) -> Fault:
    """Only these layers are not quantized, in place of transformers' own list, the head."""
    return lambda model, load: real.on_meta(model, load, skip=list(layers))


def loaded_as(other: Load) -> Fault:
    """The model has another load than the one expected."""
    return lambda model, load: real.on_meta(model, other)


def padded(model: Model, load: Load) -> Any:
    """A pad token was added and the embedding made larger."""
    rows = {"vocab_size": model.architecture["vocab_size"] + 1}
    return real.on_meta(replace(model, architecture=model.architecture | rows), load)


def in_fp32(*parts: str) -> Fault:
    """Parameters whose name contains one of the parts are fp32."""

    def build(model: Model, load: Load) -> Any:
        built = real.on_meta(model, load)
        for name, parameter in built.named_parameters():
            if any(part in name for part in parts):
                parameter.data = parameter.data.float()
        return built

    return build


def without_rotary_copy(model: Model, load: Load) -> Any:
    """The second rotary buffer is not registered, as before transformers 5."""
    built = real.on_meta(model, load)
    del built.model.rotary_emb.original_inv_freq
    return built


def untied(model: Model, load: Load) -> Any:
    """The head has a weight of its own."""
    from torch.nn import Parameter

    built = real.on_meta(model, load)
    built.lm_head.weight = Parameter(built.lm_head.weight.clone())
    return built


LAYER = "model.layers.0"
Q_PROJ, K_PROJ = f"{LAYER}.self_attn.q_proj", f"{LAYER}.self_attn.k_proj"
Q_OR_O = "one q_proj not quantized or one o_proj not quantized"
K_OR_V = "one k_proj not quantized or one v_proj not quantized"
BOTH = "a row added to embedding and head"
ALL = "all that is not quantized in fp32"

PLANTED: list[tuple[str, str, Load, Fault, str]] = [
    ("q_proj", "llama3_1", "nf4", left_out("lm_head", Q_PROJ), f"+25,165,824 B = {Q_OR_O}"),
    ("q_and_k", "llama3_1", "nf4", left_out("lm_head", Q_PROJ, K_PROJ),
     f"+31,457,280 B = 1 x ({Q_OR_O}) + 1 x ({K_OR_V})"),
    ("every_v", "llama3_1", "nf4", left_out("lm_head", "v_proj"),
     "+201,326,592 B = every k_proj not quantized or every v_proj not quantized"),
    ("head", "llama3_1", "nf4", left_out(), "-788,004,864 B = head quantized"),
    ("pad_row", "llama3_1", "nf4", padded, f"+16,384 B = {BOTH}"),
    ("pad_row_tied", "smollm2", "int8", padded, "+1,152 B = a row added to the embedding"),
    ("fp32", "llama3_1", "nf4", in_fp32("embed", "lm_head"),
     "+2,101,346,304 B = embedding and head in fp32"),
    ("fp32_with_norms", "llama3_1", "nf4", in_fp32("embed", "lm_head", "norm"),
     f"+2,101,878,784 B = {ALL}"),
    ("fp32_norms", "llama3_1", "nf4", in_fp32("norm"), "+532,480 B = norms in fp32"),
    ("fp32_biases", "qwen2", "nf4", in_fp32(".bias"), "+258,048 B = biases in fp32"),
    ("rotary", "llama3_1", "nf4", without_rotary_copy, "-256 B = a rotary buffer missing"),
    ("int8_for_nf4", "llama3_1", "nf4", loaded_as("int8"), "+3,489,660,928 B = loaded as int8"),
    ("bf16_for_nf4", "phi3", "nf4", loaded_as("bf16"), "+5,435,817,984 B = loaded as bf16"),
    ("qkv_proj", "phi3", "nf4", left_out("lm_head", f"{LAYER}.self_attn.qkv_proj"),
     "+42,467,328 B = one qkv_proj not quantized"),
    ("c_fc", "starcoder2", "nf4", left_out("lm_head", f"{LAYER}.mlp.c_fc"),
     "+56,623,104 B = one c_fc not quantized or one c_proj not quantized"),
    ("untied", "smollm2", "nf4", untied,
     "+56,623,104 B = head not tied to the embedding or embedding in fp32"),
    ("none", "qwen2", "nf4", loaded_as("nf4"), "no difference"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("key", "load", "fault", "words"), [row[1:] for row in PLANTED], ids=[row[0] for row in PLANTED]
)
def test_planted_fault_is_named(key: str, load: Load, fault: Fault, words: str) -> None:
    model = registry()[key]
    difference = fault(model, load).get_memory_footprint() - footprint(model, load).total
    assert explain(difference, model, load) == words


@pytest.mark.parametrize("difference", [1, -1, 12_345, 25_165_823, 10**12])
def test_other_differences_stay_unexplained(difference: int) -> None:
    words = explain(difference, registry()["llama3_1"], "nf4")
    assert words == f"{difference:+,} B: unexplained"


@Loads
@Models
def test_every_cause_is_found_by_its_bytes(key: str, load: Load) -> None:
    model = registry()[key]
    for name, difference in causes(model, load).items():
        assert not difference or name in explain(difference, model, load)

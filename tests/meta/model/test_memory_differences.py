"""Faults planted into real models on the meta device, and what `explain` makes of them."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.harness.data.registry import Model, registry
from tests.harness.memory.footprint import LOADS, Load, causes, explain, footprint
from tests.meta.support import real_models as real

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
    ("k_proj", "llama3_1", "nf4", left_out("lm_head", K_PROJ), f"+6,291,456 B = {K_OR_V}"),
    ("int8_q_proj", "llama3_1", "int8", left_out("lm_head", Q_PROJ), f"+16,777,216 B = {Q_OR_O}"),
    ("q_and_k", "llama3_1", "nf4", left_out("lm_head", Q_PROJ, K_PROJ),
     f"+31,457,280 B = 1 x ({Q_OR_O}) + 1 x ({K_OR_V})"),
    ("every_v", "llama3_1", "nf4", left_out("lm_head", "v_proj"),
     "+201,326,592 B = every k_proj not quantized or every v_proj not quantized"),
    ("head", "llama3_1", "nf4", left_out(), "-788,004,864 B = head quantized"),
    ("int8_head", "llama3_1", "int8", left_out(), "-525,336,576 B = head quantized"),
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
    ("gate_up_proj", "phi3", "nf4", left_out("lm_head", f"{LAYER}.mlp.gate_up_proj"),
     "+75,497,472 B = one gate_up_proj not quantized"),
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


@pytest.mark.parametrize("load", LOADS)
@pytest.mark.parametrize("key", list(registry()))
def test_every_cause_is_found_by_its_bytes(key: str, load: Load) -> None:
    model = registry()[key]
    for name, difference in causes(model, load).items():
        assert not difference or name in explain(difference, model, load)

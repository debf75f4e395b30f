"""Faults planted into real quantised models: each is red, and its first line names it."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from tests.harness import verdicts
from tests.harness.checkpoints import dummy
from tests.harness.live import Live
from tests.harness.memory import LOADS, Load

from .tiny_models import Fault, in_memory, no_fault, tiny

Judge = Callable[[Live], None]
JUDGES: list[Judge] = [
    verdicts.check_footprint,
    verdicts.check_buffers,
    verdicts.check_layers,
    verdicts.check_bytes,
    verdicts.check_silence,
    *(
        lambda live, kind=kind: verdicts.check_loading_info(live, kind)
        for kind in ("missing_keys", "unexpected_keys", "mismatched_keys")
    ),
]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint with random values, made as `--weights dummy` makes it."""
    cache = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patcher:
        patcher.setenv("MODEL_CONFORMANCE_CACHE", str(cache))
        return dummy(tiny(), "cpu", cache, print)


def first_line(judge: Judge, live: Live) -> str:
    """The first line of what a judge says; fails if it says nothing."""
    with pytest.raises(pytest.fail.Exception) as caught:
        judge(live)
    return str(caught.value.msg).splitlines()[0]


def task(**changes: Any) -> Any:
    """The task's NF4 configuration with changes."""
    import torch
    from transformers import BitsAndBytesConfig

    usual = {
        "load_in_4bit": True,
        "bnb_4bit_use_double_quant": True,
        "bnb_4bit_compute_dtype": torch.bfloat16,
        "bnb_4bit_quant_type": "nf4",
    }
    return BitsAndBytesConfig(**usual | changes)


def embeddings_in_fp32(model: Any) -> None:
    """Cast the embedding, as a library that keeps some modules in full precision does."""
    model.model.embed_tokens.float()


def row_added(model: Any) -> None:
    """Make room for a pad token."""
    model.resize_token_embeddings(model.config.vocab_size + 1, mean_resizing=False)


@contextmanager
def blocks_of(size: int) -> Iterator[None]:
    """Let bitsandbytes quantise in blocks of another size."""
    from bitsandbytes import functional

    right = functional.quantize_4bit

    def wrong(*args: Any, **given: Any) -> Any:
        return right(*args, **given | {"blocksize": size})

    with patch.object(functional, "quantize_4bit", wrong):
        yield


@dataclass(frozen=True)
class Planted:
    """A configuration's changes or a fault in the loaded model, and what a judge must say."""

    judge: Judge
    words: str
    changes: dict[str, Any] | None = None
    fault: Fault = no_fault
    block: int = 64


Q_PROJ = "model.layers.0.self_attn.q_proj: "
K_LEFT = {"llm_int8_skip_modules": ["lm_head", "model.layers.1.self_attn.k_proj"]}
K_OR_V = "one k_proj not quantised or one v_proj not quantised"
PLANTED = {
    "double_quantisation_off": Planted(
        verdicts.check_layers,
        f"{Q_PROJ}nested_block_size got None, expected 256 (14 such layers of 21); likely cause: "
        "double quantisation is off",
        {"bnb_4bit_use_double_quant": False},
    ),
    "double_quantisation_off_in_bytes": Planted(
        verdicts.check_bytes, "B = double quantisation is off", {"bnb_4bit_use_double_quant": False}
    ),
    "fp4": Planted(
        verdicts.check_layers,
        f"{Q_PROJ}quant_type got 'fp4', expected 'nf4' (14 such layers",
        {"bnb_4bit_quant_type": "fp4"},
    ),
    "compute_dtype": Planted(
        verdicts.check_layers,
        f"{Q_PROJ}compute_dtype got 'float16', expected 'bfloat16' (14 such layers",
        {"bnb_4bit_compute_dtype": "float16"},
    ),
    "block_size": Planted(
        verdicts.check_layers,
        f"{Q_PROJ}block_size got 128, expected 64 (14 such layers",
        block=128,
    ),
    "block_size_in_bytes": Planted(verdicts.check_bytes, "B = the block size is 128", block=128),
    "k_proj_left_out": Planted(
        verdicts.check_layers,
        "model.layers.1.self_attn.k_proj: kind got 'Linear', expected 'Linear4bit' (1 such layers "
        "of 21); likely cause: the layer was left out of the quantisation",
        K_LEFT,
    ),
    "k_proj_left_out_of_footprint": Planted(
        verdicts.check_footprint, f"likely cause: +12,288 B = {K_OR_V}", K_LEFT
    ),
    "head_quantised": Planted(
        verdicts.check_layers,
        "lm_head: kind got 'Linear4bit', expected 'Linear' (1 such layers of 21); likely cause: "
        "the layer was quantised though it must not be",
        {"llm_int8_skip_modules": ["no such layer"]},
    ),
    "head_quantised_in_footprint": Planted(
        verdicts.check_footprint,
        "likely cause: -98,304 B = head quantised",
        {"llm_int8_skip_modules": ["no such layer"]},
    ),
    "embeddings_in_fp32": Planted(
        verdicts.check_layers,
        "model.embed_tokens: dtype got 'float32', expected 'bfloat16'",
        fault=embeddings_in_fp32,
    ),
    "embeddings_in_fp32_in_footprint": Planted(
        verdicts.check_footprint, "+131,072 B = head in fp32 or embedding", fault=embeddings_in_fp32
    ),
    "row_added": Planted(
        verdicts.check_layers,
        "model.embed_tokens: shape got (513, 128), expected (512, 128)",
        fault=row_added,
    ),
    "row_added_in_footprint": Planted(
        verdicts.check_footprint,
        "+512 B = a row added to embedding and head",
        fault=row_added,
    ),
}


@pytest.mark.parametrize("planted", PLANTED.values(), ids=PLANTED)
def test_planted_fault_is_named(planted: Planted, checkpoint: Path) -> None:
    with blocks_of(planted.block):
        live, model = in_memory(checkpoint, "nf4", task(**planted.changes or {}), planted.fault)
    line = first_line(planted.judge, live)
    assert line.startswith("llama3_1: cpu nf4, random weights: ")
    assert planted.words in line
    assert re.search(r"\bgot\b.*\bexpected\b|all tensors hold", line)
    assert model is not None


@pytest.mark.parametrize("load", LOADS)
def test_no_judge_objects_to_a_right_model(load: Load, checkpoint: Path) -> None:
    live, model = in_memory(checkpoint, load)
    for judge in JUDGES:
        judge(live)
    assert model is not None


def test_other_load_is_named(checkpoint: Path) -> None:
    from transformers import BitsAndBytesConfig

    live, model = in_memory(checkpoint, "nf4", BitsAndBytesConfig(load_in_8bit=True))
    assert "kind got 'Linear8bitLt', expected 'Linear4bit'" in first_line(
        verdicts.check_layers, live
    )
    assert "= loaded as int8" in first_line(verdicts.check_footprint, live)
    assert model is not None


def test_missing_tensor_is_named(checkpoint: Path, tmp_path: Path) -> None:
    """A checkpoint without one norm loads without an error: only the loading info says so."""
    import json

    from safetensors.torch import load_file, save_file

    tensors = load_file(checkpoint / "model.safetensors")
    del tensors["model.norm.weight"]
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    (tmp_path / "config.json").write_text(json.dumps(tiny().architecture), encoding="utf-8")
    live, model = in_memory(tmp_path, "nf4")
    line = first_line(lambda live: verdicts.check_loading_info(live, "missing_keys"), live)
    assert "missing_keys: got 1, first model.norm.weight, expected none" in line
    assert "LOAD REPORT" in first_line(verdicts.check_silence, live)
    assert model is not None

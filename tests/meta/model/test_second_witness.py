"""The reference of the forward pass against llama.cpp: real weights, and every architecture."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest

from tests.harness.data.registry import registry
from tests.harness.engines.packaged import next_tokens, package_file, write_in_float32
from tests.harness.forward import reference
from tests.harness.forward.narrow import load_narrow, narrow, narrow_prompts
from tests.harness.forward.reference import Variant, forward
from tests.harness.forward.spec import ForwardSpec, read_spec
from tests.harness.forward.tell_tales import turned_in_neighbours
from tests.harness.forward.weights import Weights
from tests.harness.prices.products import price_prompt, read_products
from tests.harness.sources.weights import prepare_weights
from tests.meta.model.llama_cpp import Family, write_model
from tests.meta.support.llama_cpp_vectors import open_file

KEY = "smollm2"
LIKELIEST = 20
# Largest difference of a log-probability. Noise 0.00024, of the order of additions in 30 layers.
# The smallest fault below, the epsilon, differs by 0.0079.
BOUND = 0.001


@dataclass(frozen=True)
class Witnessed:
    """A model, and llama.cpp's log-probabilities of the next token after each prompt, by id."""

    spec: ForwardSpec
    weights: Weights
    answers: list[tuple[list[int], dict[int, float]]]

    def difference(self) -> float:
        """The largest between the reference's log-probabilities and llama.cpp's."""
        import torch

        with torch.inference_mode():
            each = []
            for prompt, answer in self.answers:
                logits = forward(self.spec, self.weights, torch.tensor(prompt))[-1]
                ours = logits.log_softmax(-1)[list(answer)]
                each.append((ours - torch.tensor(list(answer.values()))).abs().max())
            return float(torch.stack(each).max())  # NaN if any is: no bound holds for it


Fault = Callable[[Witnessed], Witnessed]


def constant(**changes: Any) -> Fault:
    """These fields of the spec have other values."""
    return lambda model: replace(model, spec=replace(model.spec, **changes))


def rotary(**changes: Any) -> Fault:
    """So have these of its rotary positions."""
    return lambda model: constant(rotary=replace(model.spec.rotary, **changes))(model)


@pytest.fixture(scope="module")
def smollm2(bundle: dict[str, Path]) -> Witnessed:
    """Real weights and price prompts; llama.cpp reads the file that its own tools made of them."""
    from safetensors.torch import load_file

    model, tokenizer = registry()[KEY], open_file(bundle[KEY])
    folder = prepare_weights(model, "cpu", "auto", bundle[KEY], print).folder
    tensors = {name: one.float() for name, one in load_file(folder / "model.safetensors").items()}
    texts = sorted((price_prompt(product.text) for product in read_products()), key=len)
    prompts = [tokenizer.encode(text).ids for text in texts[:75:15]]
    with tempfile.TemporaryDirectory() as name:
        file = Path(name) / "float32.gguf"
        write_in_float32(package_file(KEY, print), file)
        answers = next_tokens(file, prompts, LIKELIEST)
    spec, weights = read_spec(model.architecture), Weights(tensors.__getitem__)
    return Witnessed(spec, weights, list(zip(prompts, answers, strict=True)))


def test_reference_is_llama_cpp(smollm2: Witnessed) -> None:
    assert smollm2.difference() <= BOUND


def shortest(model: Witnessed) -> Witnessed:
    """The model with its shortest prompt only."""
    return replace(model, answers=[min(model.answers, key=lambda answer: len(answer[0]))])


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(rotary(base=10_000.0), id="rotary_base_lost"),
        pytest.param(constant(epsilon=1e-4), id="epsilon"),
        pytest.param(constant(layers=29), id="layer_skipped"),
        pytest.param(constant(activation="gelu"), id="gelu"),
        pytest.param(constant(window=32), id="window"),
    ],
)
def test_wrong_constant_is_seen(smollm2: Witnessed, fault: Fault) -> None:
    assert fault(shortest(smollm2)).difference() > BOUND


@pytest.mark.parametrize(
    "mistake",
    [
        {"scale": 1.01 / 8},
        {"ahead": None},
        {"tiled_keys": True, "tiled_values": True},
        {"turn": turned_in_neighbours},
    ],
    ids=["scale_1_percent", "not_causal", "heads_tiled", "pairs_interleaved"],
)
def test_wrong_attention_is_seen(
    smollm2: Witnessed, mistake: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reference, "Variant", partial(Variant, **mistake))
    assert shortest(smollm2).difference() > BOUND


# Narrow models of each architecture, whose vocabulary is small enough to compare all of it.
# llama.cpp wants as many hidden dimensions as heads have; a tied head is SmolLM2's.
SQUARE = {"head_dim": 32, "tie_word_embeddings": False}
# It leaves out the windows of Phi-3 and StarCoder2, so that of its Granite, which else is a Llama,
# stands for both.
UNSEEN, SEEN = {"use_sliding_window": False}, {"use_sliding_window": True, "sliding_window": 0}
ARCHITECTURES: dict[str, tuple[str, Family, dict[str, Any]]] = {
    "llama3_1": ("llama3_1", Family("llama", in_neighbours=True), {}),
    "phi3": ("phi3", Family("phi3"), UNSEEN),
    "qwen2": ("qwen2", Family("qwen2"), {}),
    "starcoder2": ("starcoder2", Family("starcoder2"), UNSEEN),
    "window": (KEY, Family("granite_swa", in_neighbours=True, windowed=True), SEEN),
}
# Noise 8e-6; StarCoder2's 0.00075, as llama.cpp looks GELU up in a table of float16.
NARROW_BOUND, GELU_BOUND = 3e-5, 0.003
BOUNDS = dict.fromkeys(ARCHITECTURES, NARROW_BOUND) | {"starcoder2": GELU_BOUND}


@cache
def narrow_model(name: str) -> Witnessed:
    """A narrow model with random weights, and what llama.cpp makes of it."""
    key, family, changes = ARCHITECTURES[name]
    architecture = registry()[key].architecture | SQUARE | changes
    made, prompts = load_narrow(architecture), narrow_prompts(2, 180)
    names = [name for name, _ in made.model.named_parameters()]
    tensors = {name: made.weights.tensor(name) for name in names}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "narrow.gguf"
        write_model(file, family, config := narrow(architecture), tensors)
        answers = next_tokens(file, prompts, config["vocab_size"])
    return Witnessed(made.spec, made.weights, list(zip(prompts, answers, strict=True)))


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_reference_is_llama_cpp_in_every_architecture(name: str) -> None:
    assert narrow_model(name).difference() <= BOUNDS[name]


def unbiased(*layers: str) -> Fault:
    """These linear layers have no bias."""
    return lambda model: constant(biased=model.spec.biased - {*layers})(model)


def swapped(part: str) -> Fault:
    """The halves of a fused weight are taken for each other."""

    def fault(model: Witnessed) -> Witnessed:
        def tensor(name: str) -> Any:
            stored = model.weights.tensor(name)
            return stored.roll(len(stored) // 2, 0) if part in name else stored

        return replace(model, weights=Weights(tensor))

    return fault


NARROW_FAULTS: list[tuple[str, str, Fault]] = [
    ("llama3_1", "positions_unscaled", rotary(scaling=None)),
    ("llama3_1", "epsilon", constant(epsilon=1e-4)),
    ("phi3", "gate_and_up_swapped", swapped("gate_up_proj")),
    ("phi3", "epsilon", constant(epsilon=1e-4)),
    ("phi3", "rotary_base", rotary(base=10_100.0)),
    ("qwen2", "unbiased_q", unbiased("q_proj")),
    ("qwen2", "unbiased_k", unbiased("k_proj")),
    ("qwen2", "unbiased_v", unbiased("v_proj")),
    ("qwen2", "rotary_base", rotary(base=10_000.0)),
    ("starcoder2", "rms_norm", constant(norm="rms")),
    ("starcoder2", "silu", constant(activation="silu")),
    ("starcoder2", "unbiased_o", unbiased("o_proj")),
    ("starcoder2", "unbiased_mlp", unbiased("c_proj")),
    ("window", "narrower", constant(window=63)),
    ("window", "wider", constant(window=65)),
    ("window", "none", constant(window=None)),
]


@pytest.mark.parametrize(
    ("name", "fault"),
    [pytest.param(name, fault, id=f"{name}-{what}") for name, what, fault in NARROW_FAULTS],
)
def test_wrong_narrow_model_is_seen(name: str, fault: Fault) -> None:
    difference = fault(narrow_model(name)).difference()
    assert difference > BOUNDS[name]

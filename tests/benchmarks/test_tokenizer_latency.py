"""How long texts take to become ids; the contracts of the ids are in tests/conformance."""

from functools import partial

import pytest

from tests.harness.cases import conversations
from tests.harness.latency.calls import fixed_prompt
from tests.harness.latency.measure import Measure
from tests.harness.latency.spec import benchmark_of
from tests.harness.loading import Loaded
from tests.harness.price_prompts import price_prompt, read_products
from tests.harness.prompts import render_case

TOKENS = 180


def test_encode_prompt(model: Loaded, measure: Measure) -> None:
    prompt = fixed_prompt(model.auto, TOKENS)
    measure(
        model.key, partial(model.auto.encode, prompt), {"tokens": len(model.auto.encode(prompt))}
    )


def test_encode_batch(model: Loaded, measure: Measure) -> None:
    """Called as users call it, on the products' prompts over and over."""
    (size,) = benchmark_of("test_encode_batch").batches
    prompts = [price_prompt(product.text) for product in read_products()]
    batch = (prompts * (size // len(prompts) + 1))[:size]
    tokens = sum(map(len, model.auto(batch)["input_ids"]))
    measure(model.key, partial(model.auto, batch), {"texts": size, "tokens": tokens})


@pytest.mark.needs("chat", "system")
def test_render_conversation(model: Loaded, measure: Measure) -> None:
    chat = conversations()["task.joke"]
    call = partial(render_case, model, chat)
    measure(model.key, call, {"characters": len(call())})


def test_load_tokenizer(model: Loaded, measure: Measure) -> None:
    from transformers import AutoTokenizer

    folder = str(model.folder)
    call = partial(AutoTokenizer.from_pretrained, folder, trust_remote_code=False)
    measure(model.key, call, {"vocabulary": len(call())})

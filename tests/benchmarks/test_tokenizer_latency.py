"""How long texts take to become ids; the contracts of the ids are in tests/conformance."""

from functools import partial

import pytest

from tests.harness.data.cases import conversations
from tests.harness.latency.calls import fixed_prompt
from tests.harness.latency.measure import Measure
from tests.harness.latency.spec import benchmark_of
from tests.harness.prices.products import price_prompt, read_products
from tests.harness.tokenizer.chat import render
from tests.harness.tokenizer.loaded import LoadedTokenizer

TOKENS = 180


def test_encode_prompt(tokenizer: LoadedTokenizer, measure: Measure) -> None:
    prompt = fixed_prompt(tokenizer.transformers, TOKENS)
    measure(
        tokenizer.key,
        partial(tokenizer.transformers.encode, prompt),
        {"tokens": len(tokenizer.transformers.encode(prompt))},
    )


def test_encode_batch(tokenizer: LoadedTokenizer, measure: Measure) -> None:
    """Called as users call it, on the products' prompts over and over."""
    (size,) = benchmark_of("test_encode_batch").batches
    prompts = [price_prompt(product.text) for product in read_products()]
    batch = (prompts * (size // len(prompts) + 1))[:size]
    tokens = sum(map(len, tokenizer.transformers(batch)["input_ids"]))
    measure(
        tokenizer.key, partial(tokenizer.transformers, batch), {"texts": size, "tokens": tokens}
    )


@pytest.mark.needs("chat", "system")
def test_render_conversation(tokenizer: LoadedTokenizer, measure: Measure) -> None:
    chat = conversations()["task.joke"]
    call = partial(render, tokenizer, chat.messages, **chat.template_arguments())
    measure(tokenizer.key, call, {"characters": len(call())})


def test_load_tokenizer(tokenizer: LoadedTokenizer, measure: Measure) -> None:
    from transformers import AutoTokenizer

    folder = str(tokenizer.folder)
    call = partial(AutoTokenizer.from_pretrained, folder, trust_remote_code=False)
    measure(tokenizer.key, call, {"vocabulary": len(call())})

"""What a real model answers in the engine: log-probabilities as transformers computes them."""

from pathlib import Path

import pytest

from tests.harness.engines.judging import check_likeliest
from tests.harness.engines.packaged import next_tokens, next_tokens_here, write_in_float32
from tests.harness.engines.served import Served
from tests.harness.files import cache_folder, scratch_folder
from tests.harness.prices.products import by_length, price_prompt
from tests.harness.sources.weights import prepare_weights

PROMPTS = 3  # of the shortest: each takes half a second


@pytest.mark.package_file
def test_next_tokens(served: Served) -> None:
    """The likeliest after a price prompt, in float32 on both sides, from the package's weights."""
    tokenizer, texts = served.tokenizer, [price_prompt(p.text) for p in by_length()[:PROMPTS]]
    prompts = [tokenizer.tokenizers.encode(text).ids for text in texts]
    weights = prepare_weights(tokenizer.spec, "cpu", "auto", tokenizer.folder, print)
    expected = next_tokens_here(weights.folder, prompts)
    with scratch_folder(cache_folder() / "engines") as folder:
        file: Path = folder / "float32.gguf"
        write_in_float32(served.file, file)
        got = next_tokens(file, prompts, 20)
    check_likeliest(served, got, expected)

"""A tiny model in Llama architecture."""

from dataclasses import replace

from tests.harness.data.registry import Model, registry

SIZES = {
    "hidden_size": 128,
    "intermediate_size": 256,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "num_hidden_layers": 2,
    "vocab_size": 512,
    **dict.fromkeys(("bos_token_id", "eos_token_id"), 1),
}


def tiny() -> Model:
    """Llama-3.1's architecture with two narrow layers; widths are multiples of 32, as
    bitsandbytes' CPU kernels want them.
    """
    model = registry()["llama3_1"]
    return replace(model, architecture=model.architecture | SIZES, weights={})

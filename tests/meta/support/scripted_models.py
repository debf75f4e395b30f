"""Tiny real models whose answers are known: Llama architecture, Llama-3.1's own tokenizer.

A scripted model's next token depends on the last one alone: the layers' outputs are multiplied by
zero, the embedding codes which step of the script a token is, and the head turns a step into the
next token.
"""

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.harness.data.registry import Model, registry
from tests.harness.model.generation import Answer, predict
from tests.harness.model.loading import LoadedModel, ModelSlot
from tests.harness.model.messages import capture_messages
from tests.harness.prices.products import price_prompt
from tests.harness.sources.checkpoints import copy_generation_config, random_model
from tests.harness.sources.weights import Weights

KEY = "llama3_1"
HIDDEN = 64  # 33 MB in bf16: embedding and head have 128,256 rows
CERTAIN = 4.0  # in the head; a step's vector has length 8 after the norm, so logits are 32 and 0

END = "<|end_of_text|>"
# What follows the prompt's last token, then each of these tokens.
SCRIPTS: dict[str, tuple[str, ...]] = {
    "answers 374": ("374", ".", "00", END),
    "answers in words": (" three", " hundred", " dollars", END),
    "says $ again": (" $",),
    "ends at once": (END,),
}

PROMPT = price_prompt("Desk lamp\nLED, 12 W, dimmable.")
PREFIX = "Yesterday it was free of charge. Price is $0.\n\n"
ONE: dict[str, Any] = {"do_sample": False, "max_new_tokens": 1}

SIZES = {
    "hidden_size": HIDDEN,
    "intermediate_size": 128,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "num_hidden_layers": 2,
}

Check = Callable[[LoadedModel], None]


def next_tokens(tokenizer: Any, script: tuple[str, ...]) -> Mapping[int, int]:
    """Last token to next token; 0 stands for every token that is not in the script."""
    ids = [tokenizer.convert_tokens_to_ids(tokenizer.tokenize(text)) for text in script]
    assert all(len(tokens) == 1 for tokens in ids), f"{script}: each entry must be one token"
    steps = [token for (token,) in ids]
    return {0: steps[0]} | dict(pairwise(steps))


def follow(model: Any, following: Mapping[int, int]) -> None:
    """Write the script into the model's weights."""
    import torch

    with torch.no_grad():
        for layer in model.model.layers:
            layer.self_attn.o_proj.weight.zero_()
            layer.mlp.down_proj.weight.zero_()
        embedding, head = model.get_input_embeddings().weight, model.lm_head.weight
        embedding.zero_()
        head.zero_()
        embedding[:, 0] = 1.0
        for step, (last, following_id) in enumerate(following.items()):
            if step:
                embedding[last] = torch.nn.functional.one_hot(torch.tensor(step), HIDDEN)
            head[following_id, step] = CERTAIN


def save(folder: Path, spec: Model, tokenizer: Any, script: tuple[str, ...]) -> None:
    """A checkpoint that follows the script."""
    model = random_model(spec, "cpu")
    follow(model, next_tokens(tokenizer, script))
    with capture_messages():  # no progress bar
        model.save_pretrained(folder)
    copy_generation_config(Path(tokenizer.name_or_path), folder)


@contextmanager
def scripted_model(script: str, tokenizer: Any, folder: Path) -> Iterator[LoadedModel]:
    """The model of a script in NF4, loaded by the path that real models take."""
    model = registry()[KEY]
    spec = replace(model, architecture=model.architecture | SIZES)
    save(folder, spec, tokenizer, SCRIPTS[script])
    weights = Weights("directory", folder, True, f"double {script!r}")
    slot = ModelSlot()
    try:
        yield slot.load(spec, "cpu", "nf4", weights, tokenizer)
    finally:
        slot.unload()
        shutil.rmtree(folder)  # 33 MB


def answer_of(loaded: LoadedModel, prompt: str = PROMPT, **changes: Any) -> Answer:
    """The task's call, with changes."""
    return predict(loaded.model, loaded.tokenizer, prompt, **changes)


def verdict(check: Check, loaded: LoadedModel) -> str:
    """The first line of a failing check's message; empty if it passes."""
    try:
        check(loaded)
    except pytest.fail.Exception as failure:
        return str(failure).splitlines()[0]
    return ""

"""The likeliest next tokens by llama.cpp in float32, and by transformers on the same weights."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

_CONTEXT = 1024  # tokens of the longest prompt, and more


def next_tokens(file: Path, prompts: Sequence[Sequence[int]], count: int) -> list[dict[int, float]]:
    """The `count` likeliest next tokens of each prompt: log-probabilities by id.

    Computed in float32 throughout: the file must hold float32, and so does the cache.
    """
    import xllamacpp

    settings = xllamacpp.CommonParams()
    settings.model.path, settings.verbosity = str(file), -1
    settings.n_ctx, settings.n_parallel, settings.port = _CONTEXT, 1, 0
    settings.warmup = settings.fit_params = False
    setattr(settings, "ui" if hasattr(settings, "ui") else "webui", False)  # before 2026.7
    settings.cache_type_k = settings.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
    off = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
    settings.flash_attn_type = off  # it computes in float16
    settings.cpuparams.n_threads = 1  # two wait for each other on a busy machine
    server = xllamacpp.Server(settings)
    return [_next_token(server, prompt, count) for prompt in prompts]


def _next_token(server: Any, prompt: Sequence[int], count: int) -> dict[int, float]:
    answer = server.handle_completions(
        {"prompt": list(prompt), "n_predict": 1, "n_probs": count, "cache_prompt": False}
    )
    assert answer["usage"]["prompt_tokens"] == len(prompt), answer["usage"]  # nothing was added
    tokens = answer["choices"][0]["logprobs"]["content"][0]["top_logprobs"]
    assert len(tokens) == count, tokens
    return {token["id"]: token["logprob"] for token in tokens}


def next_tokens_here(folder: Path, prompts: Sequence[Sequence[int]]) -> Any:
    """Log-probabilities of every next token of each prompt, by transformers in float32.

    `folder` is a checkpoint; a row of the result is a prompt's.
    """
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    with torch.inference_mode():
        rows = [model(torch.tensor([list(p)])).logits[0, -1].log_softmax(-1) for p in prompts]
    return torch.stack(rows)

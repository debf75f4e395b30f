"""Digests of a model's tensors and what it predicts, to compare after it was unloaded."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ..memory.inventory import state_tensors
from .error_bounds import quantized_layers


def digest(tensor: Any) -> str:
    """sha256 of a tensor's dtype, shape and bytes."""
    import torch

    sha256 = hashlib.sha256(f"{tensor.dtype} {tuple(tensor.shape)}".encode())
    sha256.update(tensor.detach().reshape(-1).contiguous().view(torch.uint8).cpu().numpy())
    return sha256.hexdigest()


def fingerprints(model: Any) -> dict[str, str]:
    """Digests by name of all parameters, buffers and the quantization's own data."""
    tensors = dict([*model.named_parameters(), *model.named_buffers()])
    settings = {}
    for name, module in quantized_layers(model):
        state = getattr(module.weight, "quant_state", None)
        if state is None:
            tensors[f"{name}: row scales"] = module.weight.SCB
            continue
        tensors |= {f"{name}: {part}": tensor for part, tensor in state_tensors(state).items()}
        nested = state.state2.blocksize if state.nested else None
        blocks = (state.quant_type, state.blocksize, nested)
        dtypes = (state.dtype, tuple(state.shape), module.compute_dtype)
        settings[f"{name}: settings"] = str((*blocks, *dtypes))
    with ThreadPoolExecutor() as pool:  # hashing 9 GB takes a minute on one core
        return dict(zip(tensors, pool.map(digest, tensors.values()), strict=True)) | settings


def next_token_logs(model: Any, tokenizer: Any, texts: list[str]) -> list[Any]:
    """For each text the log-probabilities of every next token: fp32 (positions, vocabulary)."""
    import torch

    logs = []
    with torch.inference_mode():
        for text in texts:
            ids = tokenizer(text, return_tensors="pt").to(model.device)
            logits = model(**ids, use_cache=False).logits[0]
            logs.append(logits.float().log_softmax(-1).cpu())
    return logs


def divergence(reference: list[Any], other: list[Any]) -> float:
    """Mean over all positions of the Kullback-Leibler divergence from the reference, in nats."""
    import torch

    rows = [(p.exp() * (p - q)).sum(-1) for p, q in zip(reference, other, strict=True)]
    return float(torch.cat(rows).mean())

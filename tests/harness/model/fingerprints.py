"""Digests of a model's tensors and what it predicts, to compare after it was unloaded."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ..memory.inventory import state_tensors
from .error_bounds import quantized_layers


def digest(tensor: Any) -> str:
    """A digest of a tensor's dtype, shape and bytes: sha256, on a CUDA device 64 bits of a sum.

    Both sides of a comparison must be on the same kind of device.
    """
    import torch

    kind, data = f"{tensor.dtype} {tuple(tensor.shape)}", tensor.detach().reshape(-1).contiguous()
    content = data.view(torch.uint8)
    if tensor.is_cuda:
        return f"{kind} {_mixed_sum(content):016x}"
    sha256 = hashlib.sha256(kind.encode())
    sha256.update(content.cpu().numpy())
    return sha256.hexdigest()


_PIECE = 2**27  # bytes at a time: what is computed takes a few times as much memory


def _mixed_sum(content: Any) -> int:
    """The sum of all words of 8 bytes, each mixed with its place so that no change cancels.

    The mixing is that of splitmix64; copying 9 GB to the CPU to hash them takes ten seconds.
    """
    import torch

    total = 0
    for number, piece in enumerate(content.split(_PIECE)):
        padded = torch.nn.functional.pad(piece, (0, -piece.numel() % 8))
        words = padded.view(torch.int64)
        first = number * (_PIECE // 8)
        places = torch.arange(first, first + words.numel(), device=words.device)
        mixed = words ^ (places * -0x61C8864680B583EB)
        for shift, factor in ((30, -0x40A7B892E31B1A47), (27, -0x6B2FB644ECCEEE15)):
            mixed = (mixed ^ ((mixed >> shift) & (2 ** (64 - shift) - 1))) * factor
        total += int((mixed ^ ((mixed >> 31) & (2**33 - 1))).sum())
    return total % 2**64


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

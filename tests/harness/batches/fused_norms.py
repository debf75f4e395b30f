"""Faster kernels for the same mathematics while many prompts are answered; removed again after."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any


def rms_norms(model: Any) -> list[Any]:
    """The model's RMS norms, as transformers writes them: a weight and an epsilon."""
    named = [norm for norm in model.modules() if type(norm).__name__.endswith("RMSNorm")]
    return [norm for norm in named if hasattr(norm, "variance_epsilon")]


@contextmanager
def fused_norms(model: Any) -> Iterator[None]:
    """Run each RMS norm as one kernel of torch, not six that write fp32 copies to memory.

    It rounds to bf16 once where transformers' rounds twice, so a logit may move within
    `logit_bound`. The plain model is back at the end.
    """
    from torch.nn.functional import rms_norm

    def fused(norm: Any) -> Any:
        weight, epsilon = norm.weight, norm.variance_epsilon
        return lambda hidden: rms_norm(hidden, weight.shape, weight, epsilon)

    with ExitStack() as stack:
        for norm in rms_norms(model):
            norm.forward = fused(norm)
            stack.callback(delattr, norm, "forward")
        yield


@contextmanager
def compiled(model: Any) -> Iterator[None]:
    """Compile each layer, all of them from one graph; the first batches take a minute."""
    layers = model.model.layers
    for layer in layers:
        layer.compile(dynamic=True)
    try:
        yield
    finally:
        for layer in layers:
            layer._compiled_call_impl = None

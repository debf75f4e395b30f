"""The bytes of a LoRA adapter on a quantized model, and what explains a difference."""

from collections.abc import Mapping

from .footprint import BF16, FP32


def adapter_bytes(parameters: int, width: int = FP32) -> int:
    """Bytes of an adapter's parameters: peft keeps them in float32 beside a model in 4 bit."""
    return width * parameters


def explain_adapter(difference: int, by_layer: Mapping[str, int], base: int) -> str:
    """What explains `difference` bytes more than expected, to the byte; "unexplained" if nothing.

    `by_layer` holds the parameters of each target; `base` the bytes of the model without adapter.
    """
    parameters = sum(by_layer.values())
    right = adapter_bytes(parameters)
    in_bf16 = adapter_bytes(parameters, BF16)
    causes = {
        in_bf16 - right: f"the adapter is in bfloat16, not float32 ({(base + in_bf16) / 1e6:,.1f} "
        f"MB in all, {(base + right) / 1e6:,.1f} MB expected)",
        -right: "the adapter is not there, or was merged",
        right: "the adapter is held twice",
    }
    for layer, number in by_layer.items():
        kind = layer.rpartition(".")[2]
        causes.setdefault(-adapter_bytes(number), f"one {kind} without its adapter")
        alike = sum(n for name, n in by_layer.items() if name.endswith(f".{kind}"))
        causes.setdefault(-adapter_bytes(alike), f"every {kind} without its adapter")
        causes.setdefault(adapter_bytes(number), f"one layer of {kind}'s shape too many")
    return (
        f"{difference:+,} B = {causes[difference]}"
        if difference in causes
        else (f"{difference:+,} B: unexplained")
    )

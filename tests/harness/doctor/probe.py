"""Do torch and bitsandbytes load and work? A process of its own, because they may end it.

Prints a JSON object after each step, so that what came before a crash is known.
"""

import json
import logging
import warnings
from typing import Any

from .. import device as devices


def say(**facts: Any) -> None:
    """Print facts at once."""
    print(json.dumps(facts), flush=True)


def torch_facts() -> str:
    """Load torch; the device that the suite would use."""
    try:
        import torch
    except BaseException as error:
        say(torch_error=devices.first(error))
        raise SystemExit(0) from None
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        usable = bool(torch.cuda.is_available())
    said = "; ".join(devices.first(it.message) for it in caught if isinstance(it.message, Warning))
    say(torch=torch.__version__, cuda=torch.version.cuda, usable=usable, said=said)
    if usable:
        free, total = torch.cuda.mem_get_info()
        say(gpu=torch.cuda.get_device_name(), free=free, total=total)
    return "cuda" if usable else "cpu"


def layer_fault(device: str) -> str:
    """What is wrong with a 4-bit layer on the device; empty if it computes."""
    import bitsandbytes
    import torch

    layer = bitsandbytes.nn.Linear4bit(
        64, 64, bias=False, compute_dtype=torch.bfloat16, quant_type="nf4"
    ).to(device)
    answer = layer(torch.ones(1, 64, dtype=torch.bfloat16, device=device))
    return "" if bool(torch.isfinite(answer).all()) else "a 4-bit layer gives values not finite"


def main() -> None:
    """Load both, quantise a tensor and ask a 4-bit layer."""
    logging.disable()
    device = torch_facts()
    say(device=device)
    try:
        import bitsandbytes  # noqa: F401
    except BaseException as error:
        say(import_error=devices.first(error))
        return
    try:
        say(fault=devices.preflight(device) or layer_fault(device))
    except Exception as error:
        say(fault=devices.first(error))


if __name__ == "__main__":
    main()

"""How many positions fit into memory at once: measured with two small batches, not guessed."""

from tests.harness import device as devices
from tests.harness.models import Device

from .batches import Batch
from .scoring import Ask

SHARE = 0.8  # of the free memory that a batch may take
MOST_TOKENS = 32_768  # past this nothing is won: the kernels are as fast as they get
CPU_TOKENS = 2_048  # on the CPU larger batches are no faster, and memory is shared
LEAST_TOKENS = 256
WIDTH = 180
PROBES = (2, 10)  # prompts


def probe(prompts: int, padded: bool, token: int) -> Batch:
    """A batch of one repeated token; with a pad in front, so that the mask is counted, too."""
    import torch

    ids = torch.full((prompts, WIDTH), token, dtype=torch.long)
    mask = torch.ones_like(ids)
    mask[:, 0] = 0
    return Batch(tuple(range(prompts)), ids, mask if padded else None)


def measured(ask: Ask, token: int) -> tuple[float, float]:
    """Bytes that any batch takes on a CUDA device, and bytes for each position of it."""
    import torch

    peaks = []
    ask(probe(1, True, token))  # what the libraries keep from their first use on
    for prompts in PROBES:
        before = devices.allocated("cuda")
        devices.peak("cuda", reset=True)
        ask(probe(prompts, True, token))
        torch.cuda.synchronize()
        peaks.append(devices.peak("cuda") - before)
    few, many = PROBES
    each = max((peaks[1] - peaks[0]) / ((many - few) * WIDTH), 1.0)
    return max(peaks[0] - each * few * WIDTH, 0.0), each


def fitting(free: int, fixed: float, each: float) -> int:
    """Positions for so many free bytes, rounded down so that small differences do not show."""
    fit, tokens = (SHARE * free - fixed) / each, LEAST_TOKENS
    while 2 * tokens <= min(fit, MOST_TOKENS):
        tokens *= 2
    return tokens


def batch_tokens(ask: Ask, device: Device, token: int) -> int:
    """Positions a batch may have on this device; a fixed number on the CPU."""
    if device == "cpu":
        return CPU_TOKENS
    fixed, each = measured(ask, token)
    devices.collect(device)
    return fitting(devices.free_bytes(device), fixed, each)

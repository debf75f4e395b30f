"""Which of several processes this is, and the one GPU it may see."""

import os

from .scoring import SweepError


def place() -> tuple[int, int]:
    """Rank and number of processes, as torchrun and accelerate say them; one GPU for each."""
    try:
        rank, world, local = (
            int(os.environ.get(name, default))
            for name, default in (("RANK", "0"), ("WORLD_SIZE", "1"), ("LOCAL_RANK", "0"))
        )
    except ValueError:
        raise SweepError("RANK, WORLD_SIZE and LOCAL_RANK must be numbers: unset them") from None
    if world > 1:
        # The model goes to the first device that is seen, so each process may see one only.
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        names = (
            [str(number) for number in range(local + 1)] if visible is None else visible.split(",")
        )
        os.environ["CUDA_VISIBLE_DEVICES"] = names[local] if local < len(names) else ""
    return rank, world

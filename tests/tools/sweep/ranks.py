"""Which of several processes this is, and the one GPU it may see."""

import os

from .store import SweepError


def rank_and_world() -> tuple[int, int]:
    """Rank and number of processes, from the variables of torchrun and accelerate.

    As a side effect each of several processes is left one GPU, for a model goes to the first that
    is seen. It must come before torch looks at the devices.
    """
    try:
        rank, world, local = (
            int(os.environ.get(name, default))
            for name, default in (("RANK", "0"), ("WORLD_SIZE", "1"), ("LOCAL_RANK", "0"))
        )
    except ValueError:
        raise SweepError("RANK, WORLD_SIZE and LOCAL_RANK must be numbers: unset them") from None
    if world > 1:
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        gpus = [*map(str, range(local + 1))] if visible is None else visible.split(",")
        os.environ["CUDA_VISIBLE_DEVICES"] = gpus[local] if local < len(gpus) else ""
    return rank, world
